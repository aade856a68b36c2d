//! Calls of template functions with what Helm 4.3.1 made of them, run in process.
//!
//! A row of `tests/engine/functions/*.jsonl` is the template `_x.tpl`, which `o.yaml` includes; its result is `out` (or
//! `out_b64` where it is no UTF-8), or the whole error text in `err`.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use helm::functions::Env;
use helm::random::SystemRandom;
use helm::template::Program;
use helm::value::{MapType, Value};

#[derive(serde::Deserialize)]
struct Row {
    tpl: String,
    out: Option<String>,
    out_b64: Option<String>,
    err: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/engine/functions")
}

/// The values that rows refer to.
fn data() -> Value {
    let values = serde_json::json!({
        "str": "hello",
        "nested": {"a": {"b": 2}, "l": [1, "x", null]},
        "intlist": [1, 2, 3],
        "mixed": [1, "a", true, null, 2.5, ["x"], {"k": "v"}],
        "i": 3,
        "big": 1_000_000,
    });
    let Value::Map(values) = Value::from_json(&values) else { unreachable!("an object") };
    Value::map([("Values", Value::Map(values.with_type(MapType::Values)))])
}

fn render(tpl: &str) -> Result<Vec<u8>, String> {
    let files = [
        ("v/templates/o.yaml", b"{{ include \"v/templates/_x.tpl\" . | b64enc }}".to_vec()),
        ("v/templates/_x.tpl", tpl.as_bytes().to_vec()),
    ];
    // Positions in `o.yaml` are part of the texts: the action begins in column 3 of "o: {{ ... }}".
    let files = files
        .map(|(name, text)| (name, if name.ends_with("o.yaml") { [b"o: ", text.as_slice()].concat() } else { text }));
    let program = Program::compile(&files).map_err(|error| error.to_string())?;
    let env = Env::at(jiff::Timestamp::UNIX_EPOCH, &SystemRandom);
    let out = program.render("v/templates/o.yaml", data(), &env).map_err(|error| error.to_string())?;
    let encoded = out.strip_prefix(b"o: ").unwrap_or(&out).trim_ascii();
    STANDARD.decode(encoded).map_err(|error| error.to_string())
}

fn wanted(row: &Row) -> Result<Vec<u8>, String> {
    match (&row.err, &row.out, &row.out_b64) {
        (Some(error), _, _) => Err(error.strip_prefix("Error: ").unwrap_or(error).trim_end().to_owned()),
        (None, Some(text), _) => Ok(text.clone().into_bytes()),
        (None, None, text) => Ok(STANDARD.decode(text.as_deref().unwrap_or_default()).expect("base 64")),
    }
}

#[test]
fn every_call_gives_what_helm_gives() {
    let (mut rows, mut failed) = (0, Vec::new());
    for file in std::fs::read_dir(folder()).unwrap() {
        for line in std::fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let row: Row = serde_json::from_str(line).unwrap();
            let got = render(&row.tpl).map_err(|error| error.trim_end().to_owned());
            let want = wanted(&row);
            rows += 1;
            if got != want {
                let text = |result: &Result<Vec<u8>, String>| match result {
                    Ok(out) => format!("{:?}", String::from_utf8_lossy(out)),
                    Err(error) => format!("error {error:?}"),
                };
                failed.push(format!("{}\n  want {}\n  got  {}", row.tpl, text(&want), text(&got)));
            }
        }
    }
    assert!(rows > 5000, "only {rows} rows were read");
    assert!(failed.is_empty(), "{} of {rows} differ:\n{}", failed.len(), failed[..failed.len().min(20)].join("\n"));
}
