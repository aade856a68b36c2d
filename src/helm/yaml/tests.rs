//! The room as a whole: limits, documents, and what the emitter does with what the parser gave.

use serde_json::json;

use super::*;

fn yaml(tree: &Value) -> String {
    let mut out = Vec::new();
    emit(tree, 0, &mut out).expect("the tree can be written");
    String::from_utf8(out).expect("YAML is UTF-8")
}

fn error(text: &str) -> String {
    parse(text.as_bytes()).expect_err("the text is wrong").to_string()
}

#[test]
fn scalars_follow_yaml_1_1() {
    let text = "{a: yes, n: 010, c: 0x1F, d: 1e3, e: 2001-12-14, f: 1_000, g: 12:30, h: ~, i: 'no', j: 1.5}";
    let expected = json!({
        "a": true, "false": 8, "c": 31, "d": 1000, "e": "2001-12-14", "f": 1000, "g": "12:30", "h": null, "i": "no",
        "j": 1.5
    });
    assert_eq!(parse(text.as_bytes()).unwrap(), expected);
}

#[test]
fn errors_name_the_line_as_go_yaml_does() {
    assert_eq!(error("a: b\nc: d: e"), "yaml: line 2: mapping values are not allowed in this context");
    assert_eq!(error("a:\n  - b\n c: d"), "yaml: line 2: did not find expected key");
    assert_eq!(error("a: *b"), "yaml: unknown anchor 'b' referenced");
    assert_eq!(
        error("a: {{ .Values.a }}"),
        r#"yaml: invalid map key: map[interface {}]interface {}{".Values.a":interface {}(nil)}"#
    );
}

#[test]
fn a_key_that_occurs_twice_is_an_error_in_strict_mode_only() {
    let text = b"a: 1\nb: 2\na: 3\n";
    assert_eq!(parse(text).unwrap(), json!({"a": 3, "b": 2}));
    let error = parse_strict(text).unwrap_err().to_string();
    assert_eq!(error, "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map");
}

#[test]
fn documents_know_the_line_they_start_on() {
    let found: Vec<_> = documents(b"# head\na: 1\n---\nb: 2\n---\n").into_iter().map(Result::unwrap).collect();
    let expected = [(2, json!({"a": 1})), (3, json!({"b": 2})), (5, Value::Null)];
    assert_eq!(found.into_iter().map(|d| (d.line, d.value)).collect::<Vec<_>>(), expected);
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(error(&nested(MAX_DEPTH + 1)), format!("yaml: exceeded max depth of {MAX_DEPTH}"));
    let lines: Vec<String> = (0..=MAX_DEPTH).map(|depth| format!("{}a:", " ".repeat(depth))).collect();
    let block = lines.join("\n");
    assert_eq!(error(&block), format!("yaml: exceeded max depth of {MAX_DEPTH}"));
    let mut tree = json!(1);
    for _ in 0..=MAX_DEPTH {
        tree = json!([tree]);
    }
    assert!(emit(&tree, 0, &mut Vec::new()).is_err());
}

#[test]
fn nesting_through_aliases_has_the_same_limit() {
    let deep = MAX_DEPTH - 10;
    let text = format!("a: &a {}{}\nb: {}*a{}", "[".repeat(deep), "]".repeat(deep), "[".repeat(20), "]".repeat(20));
    assert_eq!(error(&text), format!("yaml: exceeded max depth of {MAX_DEPTH}"));
}

#[test]
fn a_document_that_is_mostly_aliases_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text = format!("{text}a{level}: &a{level} [{aliases}]\n");
    }
    assert_eq!(error(&text), "yaml: document contains excessive aliasing");
}

#[test]
fn long_texts_behind_aliases_are_bounded() {
    let text = format!("a: &a '{}'\nb: [{}]", "x".repeat(1 << 20), vec!["*a"; 99].join(", "));
    assert_eq!(error(&text), "yaml: document contains excessive aliasing");
}

#[test]
fn an_anchor_cannot_hold_itself() {
    assert_eq!(error("a: &a [*a]"), "yaml: anchor 'a' value contains itself");
}

#[test]
fn text_is_written_as_go_yaml_does() {
    let tree = json!({
        "b": ["x", {"c": "yes", "d": ""}], "a10": 1e21, "a2": 1_000_000.0, "text": "one\ntwo\n", "e": [], "f": {}, "g": " "
    });
    let expected =
        "a2: 1000000\na10: 1e+21\nb:\n- x\n- c: \"yes\"\n  d: \"\"\ne: []\nf: {}\ng: ' '\ntext: |\n  one\n  two";
    assert_eq!(yaml(&tree), expected);
}

#[test]
fn each_line_but_the_first_is_indented_on_demand() {
    let mut out = b"x:\n  ".to_vec();
    emit(&json!({"a": "one\n\ntwo", "b": 1}), 2, &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), "x:\n  a: |-\n    one\n  \n    two\n  b: 1");
}

#[test]
fn the_pretty_form_indents_lists_and_keeps_long_lines() {
    let long = "word ".repeat(30) + "end";
    let mut out = Vec::new();
    emit_pretty(&json!({"a": ["b", long]}), &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), format!("a:\n  - b\n  - {long}"));
}

#[test]
fn what_go_cannot_write_leaves_the_output_as_it_was() {
    let mut out = b"kept".to_vec();
    assert!(emit(&json!({"a": "del\u{7f}"}), 0, &mut out).is_err());
    assert_eq!(out, b"kept");
}

#[test]
fn the_digest_text_has_numbers_as_floats_and_is_empty_without_values() {
    assert_eq!(digest_text(&json!({})).unwrap(), b"");
    let values = json!({"b10": 9_007_199_254_740_993_i64, "b2": -0.0, "c": 1e-7, "d": u64::MAX});
    let expected = "b10: 9007199254740992\nb2: 0\nc: 1e-07\nd: 1.8446744073709552e+19\n";
    assert_eq!(String::from_utf8_lossy(&digest_text(&values).unwrap()), expected);
}

/// Rows of Go's own answers: texts of ours, read and written by go-yaml and encoding/json.
mod rows {
    use super::*;
    use crate::json::{Escape, to_text};

    fn rows(text: &str) -> impl Iterator<Item = Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON"))
    }

    /// The outcome of reading as a row tells it.
    fn outcome(read: std::result::Result<Value, impl ToString>) -> Value {
        match read {
            Ok(value) => json!({"json": to_text(&value, Escape::Html)}),
            Err(error) => json!({"error": error.to_string()}),
        }
    }

    fn check(rows: impl Iterator<Item = Value>, read: impl Fn(&str) -> Value) {
        let mut wrong = Vec::new();
        for mut row in rows {
            let text = row["text"].take();
            let expected = if row["json"].is_string() {
                // Go writes bytes that are no UTF-8 as escapes, where a tree holds U+FFFD.
                json!({"json": row["json"].as_str().unwrap_or_default().replace("\\ufffd", "\u{fffd}")})
            } else {
                json!({"error": row["error"]})
            };
            let found = read(text.as_str().unwrap_or_default());
            if found != expected {
                wrong.push(format!("{text}\n  expected {expected}\n  found    {found}"));
            }
        }
        assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn texts_are_read_as_go_reads_them() {
        check(rows(include_str!("../../../tests/engine/yaml/parse.jsonl")), |text| outcome(parse(text.as_bytes())));
    }

    #[test]
    fn texts_are_read_strictly_as_go_reads_them() {
        let strict = rows(include_str!("../../../tests/engine/yaml/strict.jsonl"));
        check(strict, |text| outcome(parse_strict(text.as_bytes())));
    }

    #[test]
    fn manifests_are_read_as_kustomize_reads_them() {
        let rows = rows(include_str!("../../../tests/engine/yaml/manifest.jsonl"));
        check(rows, |text| {
            let value = manifests(text.as_bytes()).pop().map_or(Ok(Value::Null), |manifest| manifest.value);
            outcome(value)
        });
    }

    #[test]
    fn json_is_read_as_go_reads_it() {
        let rows = rows(include_str!("../../../tests/engine/yaml/json.jsonl"));
        check(rows, |text| outcome(crate::json::parse(text.as_bytes()).map(floats)));
    }

    /// Go reads each number into a float.
    fn floats(value: Value) -> Value {
        match value {
            Value::Number(n) => json!(n.as_f64()),
            Value::Array(items) => items.into_iter().map(floats).collect(),
            Value::Object(map) => map.into_iter().map(|(key, value)| (key, floats(value))).collect(),
            value => value,
        }
    }

    #[test]
    fn trees_are_written_as_go_writes_them() {
        for row in rows(include_str!("../../../tests/engine/yaml/emit.jsonl")) {
            let tree = &row["tree"];
            let mut plain = Vec::new();
            let written = emit(tree, 0, &mut plain).ok().map(|()| String::from_utf8_lossy(&plain));
            assert_eq!(written.as_deref(), row["yaml"].as_str(), "toYaml of {tree}");
            let mut pretty = Vec::new();
            emit_pretty(tree, &mut pretty).expect("every tree of the rows has a pretty form");
            assert_eq!(String::from_utf8_lossy(&pretty), row["pretty"].as_str().unwrap_or_default(), "{tree}");
            if let Some(expected) = row["digest"].as_str() {
                let digest = digest_text(tree).expect("every map of the rows has a digest text");
                assert_eq!(String::from_utf8_lossy(&digest), expected, "digest text of {tree}");
            }
        }
    }
}
