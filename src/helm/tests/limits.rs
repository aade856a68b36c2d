//! What charts from strangers may cost: each limit stops what goes beyond it, and says which it was.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use helm::chart::Chart;
use helm::chart::archive::BufferedFile;
use helm::chart::folder::{Links, MAX_FOLDER_DEPTH};
use helm::chart::load::MAX_CHART_DEPTH;
use helm::functions::{Env, MAX_KEYS};
use helm::random::SystemRandom;
use helm::release::{self, MAX_RECORD_SIZE, Release};
use helm::render::{Options, render};
use helm::semver::{Constraints, MAX_CONSTRAINT_GROUPS, MAX_CONSTRAINT_LEN, MAX_VERSION_LEN, Version};
use helm::value::{MAX_JSON_NODES, MAX_TEXT};
use helm::yaml::MAX_EMITTED;
use helm::{strvals, yaml};

fn file(name: String, text: &str) -> BufferedFile {
    BufferedFile { name, modified: None, data: text.as_bytes().into() }
}

/// Renders a chart of one template and perhaps a schema, when so many keys were made before.
fn rendered(template: &str, schema: Option<&str>, keys_made: u32) -> Result<(), String> {
    let mut files = vec![
        file("Chart.yaml".into(), "apiVersion: v2\nname: c\nversion: 1.0.0\n"),
        file("values.yaml".into(), "a: 1\n"),
        file("templates/a.yaml".into(), template),
    ];
    files.extend(schema.map(|schema| file("values.schema.json".into(), schema)));
    let chart = Arc::new(Chart::from_files(files).unwrap());
    let env = Env { keys_made: Cell::new(keys_made), ..Env::at(jiff::Timestamp::UNIX_EPOCH, &SystemRandom) };
    let options = Options::install("rel", "ns", env);
    render(&chart, &serde_json::Map::new(), &options).map(drop).map_err(|failure| failure.error.to_string())
}

#[test]
fn a_template_that_wants_too_much_is_named_with_its_line() {
    for (template, want) in [
        ("a: 1\nb: {{ randAlpha 16777217 }}", "16777217 random characters are more than 16777216"),
        ("a: 1\nb: {{ randBytes 16777217 }}", "16777217 random characters are more than 16777216"),
        ("a: 1\nb: {{ until 1048577 }}", "1048577 numbers are more than 1048576"),
        ("a: 1\nb: {{ seq 1048578 }}", "1048578 numbers are more than 1048576"),
        ("a: 1\nb: {{ repeat 67108865 \"x\" }}", "67108865"),
        ("a: 1\nb: {{ printf \"%1000000d\" 1 | repeat 70 }}", "67108864"),
    ] {
        let error = rendered(template, None, 0).unwrap_err();
        assert!(error.contains("c/templates/a.yaml:2:") && error.contains(want), "{template}: {error}");
    }
}

#[test]
fn values_that_hold_one_another_are_not_written_without_end() {
    // Each step doubles what the value holds.
    let doubled = "a: 1\n{{ $m := 1 }}{{ range until 23 }}{{ $m = list $m $m }}{{ end -}}\n";
    let long = "a: 1\n{{ $m := repeat 1000000 \"x\" }}{{ range until 7 }}{{ $m = list $m $m }}{{ end -}}\n";
    for (value, call, want) in [
        (doubled, "toYaml (list .Files $m)", format!("more than {MAX_JSON_NODES} nodes")),
        (long, "print $m", format!("longer than {MAX_TEXT} bytes")),
        (long, "toYaml $m", format!("exceeded max size of {MAX_EMITTED}")),
        (long, "toYamlPretty $m", format!("exceeded max size of {MAX_EMITTED}")),
    ] {
        let error = rendered(&format!("{value}b: {{{{ {call} }}}}"), None, 0).unwrap_err();
        assert!(error.contains("c/templates/a.yaml:3:") && error.contains(&want), "{call}: {error}");
    }
}

#[test]
fn a_record_is_unpacked_only_so_far() {
    let packed = |size: u64| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::copy(&mut std::io::repeat(b' ').take(size), &mut encoder).unwrap();
        STANDARD.encode(encoder.finish().unwrap())
    };
    let decode = |size: u64| Release::decode(packed(size).as_bytes()).map(drop).unwrap_err();
    assert!(matches!(decode(MAX_RECORD_SIZE + 1), release::Error::TooLarge));
    assert!(matches!(decode(MAX_RECORD_SIZE), release::Error::Read(_)));
}

#[test]
fn keys_and_slow_hashes_are_counted_over_the_whole_render() {
    let calls = [
        "derivePassword 1 \"pin\" \"a\" \"b\" \"c\"",
        "genPrivateKey \"ed25519\"",
        "bcrypt \"a\"",
        "htpasswd \"a\" \"b\"",
    ];
    for call in calls {
        let template = format!("a: 1\nb: {{{{ {call} | quote }}}}\nc: {{{{ genPrivateKey \"ecdsa\" | quote }}}}");
        let error = rendered(&template, None, MAX_KEYS).unwrap_err();
        assert!(error.contains("a.yaml:2:") && error.contains(&format!("at most {MAX_KEYS} keys")), "{error}");
        let error = rendered(&template, None, MAX_KEYS - 1).unwrap_err();
        assert!(error.contains("a.yaml:3:"), "{call} counts as one: {error}");
    }
}

#[test]
fn schemas_are_bounded_in_size_and_work() {
    let parts = format!("{{\"allOf\":[{}]}}", vec!["{}"; 100_001].join(","));
    let error = rendered("a: 1", Some(&parts), 0).unwrap_err();
    assert!(error.contains("more than 100000 parts"), "{error}");
    // Each level doubles the work.
    let levels: Vec<String> = (0..40)
        .map(|level| {
            format!(
                "\"d{level}\":{{\"allOf\":[{{\"$ref\":\"#/$defs/d{0}\"}},{{\"$ref\":\"#/$defs/d{0}\"}}]}}",
                level + 1
            )
        })
        .collect();
    let schema = format!("{{\"$defs\":{{{},\"d40\":true}},\"$ref\":\"#/$defs/d0\"}}", levels.join(","));
    assert!(rendered("a: 1", Some(&schema), 0).is_err());
}

#[test]
fn charts_and_folders_nest_so_deep() {
    let nested = |depth: usize| {
        let files = (0..=depth).map(|level| {
            let name = format!("{}Chart.yaml", "charts/c/".repeat(level));
            file(name, "apiVersion: v2\nname: c\nversion: 1.0.0\n")
        });
        Chart::from_files(files.collect()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(nested(MAX_CHART_DEPTH), Ok(()));
    assert!(nested(MAX_CHART_DEPTH + 1).unwrap_err().contains("nested deeper than"));

    let base = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deep-{}", std::process::id()));
    std::fs::create_dir_all(base.join("a/".repeat(MAX_FOLDER_DEPTH + 1))).unwrap();
    std::fs::write(base.join("Chart.yaml"), "apiVersion: v2\nname: c\nversion: 1.0.0\n").unwrap();
    let error = Chart::load(&base, &Links::Follow).unwrap_err().to_string();
    std::fs::remove_dir_all(&base).unwrap();
    assert!(error.contains("folders are nested deeper than"), "{error}");
}

#[test]
fn lists_of_set_lines_stay_short() {
    let set = |line: &str| strvals::parse_into(line, &mut serde_json::Map::new()).map_err(|error| error.to_string());
    assert_eq!(set(&format!("a[{}]=1", strvals::MAX_INDEX)), Ok(()));
    assert!(set(&format!("a[{}]=1", strvals::MAX_INDEX + 1)).unwrap_err().contains("maximum supported index"));
    let many: Vec<String> = (0..17).map(|list| format!("a{list}[{}]=1", strvals::MAX_INDEX)).collect();
    assert!(set(&many.join(",")).unwrap_err().contains("places together"));
}

#[test]
fn versions_and_constraints_stay_short() {
    let version = |len: usize| Version::parse(&format!("1.0.0-{}", "a".repeat(len - 6)));
    assert!(version(MAX_VERSION_LEN).is_ok() && version(MAX_VERSION_LEN + 1).is_err());
    let groups = |count: usize| Constraints::parse(&vec!["1"; count].join("||"));
    assert!(groups(MAX_CONSTRAINT_GROUPS).is_ok() && groups(MAX_CONSTRAINT_GROUPS + 1).is_err());
    let spaced = |len: usize| Constraints::parse(&format!("1{}2", " ".repeat(len - 2)));
    assert!(spaced(MAX_CONSTRAINT_LEN).is_ok() && spaced(MAX_CONSTRAINT_LEN + 1).is_err());
}

#[test]
fn aliases_multiply_neither_nodes_nor_text() {
    let mut nodes = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..8 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(nodes, "a{level}: &a{level} [{inner}]").unwrap();
    }
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 65].join(", "));
    for bomb in [nodes, text] {
        assert_eq!(yaml::parse(bomb.as_bytes()).unwrap_err().to_string(), "yaml: document contains excessive aliasing");
    }
}
