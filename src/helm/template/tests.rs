//! What the vectors cannot hold: rules between files, and bounds.

use super::*;
use crate::functions::{Env, Random};
use crate::value::{Map, MapType, Value};

struct Zeros;

impl Random for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn env() -> Env<'static> {
    Env::at(jiff::Timestamp::UNIX_EPOCH, &Zeros)
}

/// Renders the last file, or returns the error's text.
fn render(files: &[(&str, &str)], data: Value) -> Result<String, String> {
    let program = Program::compile(files).map_err(|e| e.to_string())?;
    let (name, _) = files.last().expect("a file");
    let text = program.render(name, data, &env()).map_err(|e| e.to_string())?;
    Ok(String::from_utf8(text).expect("UTF-8"))
}

fn render_one(text: &str) -> Result<String, String> {
    render(&[("f", text)], Value::map([("m", Value::map([("k", Value::str("v"))]))]))
}

#[test]
fn the_last_definition_wins_unless_it_is_empty() {
    let first = ("a", "{{ define \"x\" }}one{{ end }}");
    let empty = ("b", "{{ define \"x\" }} {{/* nothing */}} {{ end }}");
    let second = ("c", "{{ define \"x\" }}two{{ end }}");
    let user = ("f", "{{ template \"x\" }}");
    for (files, want) in [
        (vec![first, empty, user], "one"),
        (vec![first, second, user], "two"),
        (vec![second, first, user], "one"),
        (vec![empty, user], "  "),
    ] {
        assert_eq!(render(&files, Value::Nil).as_deref(), Ok(want));
    }
}

#[test]
fn a_text_of_tpl_sees_its_own_definitions_and_nobody_else_does() {
    let text = r#"{{ define "x" }}outer{{ end }}{{ tpl "{{ define \"x\" }}inner{{ end }}{{ include \"x\" . }}" . }} {{ include "x" . }}"#;
    assert_eq!(render_one(text).as_deref(), Ok("inner outer"));
}

#[test]
fn what_prints_as_no_value_is_taken_out() {
    assert_eq!(render_one("a{{ .nope }}b<no value>c").as_deref(), Ok("abc"));
}

#[test]
fn a_variable_of_a_branch_is_known_in_the_other_but_not_there() {
    let text = "{{ if .nope }}{{ $x := 1 }}{{ else }}{{ $x }}{{ end }}";
    assert_eq!(render_one(text), Err("f:1:40\n  executing \"f\" at <$x>:\n    undefined variable: $x".to_owned()));
}

#[test]
fn a_break_in_the_else_of_a_range_ends_that_range_and_a_continue_the_outer_turn() {
    for (word, want) in [("break", "axax"), ("continue", "aa")] {
        let text =
            format!("{{{{ range 2 }}}}{{{{ range 0 }}}}{{{{ else }}}}a{{{{ {word} }}}}{{{{ end }}}}x{{{{ end }}}}");
        assert_eq!(render_one(&text).as_deref(), Ok(want));
    }
}

#[test]
fn an_include_within_itself_ends_at_helms_bound() {
    let error =
        render_one("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}").expect_err("endless");
    assert!(error.ends_with("rendering template has a nested reference name: a: unable to execute template"));
}

#[test]
fn a_template_within_itself_ends_at_gos_bound() {
    let error =
        render_one("{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}").expect_err("endless");
    assert!(error.ends_with(&format!("exceeded maximum template depth ({MAX_TEMPLATE_DEPTH})")), "{error}");
}

#[test]
fn a_tpl_within_itself_ends() {
    let data = Value::map([("t", Value::str("{{ tpl .t . }}"))]);
    let error = render(&[("f", "{{ tpl .t . }}")], data).expect_err("endless");
    assert!(error.contains(&format!("exceeded the maximum tpl depth ({MAX_TPL_DEPTH})")));
}

#[test]
fn nesting_beyond_the_bound_does_not_parse() {
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(10_001), ")".repeat(10_001));
    let blocks = format!("{}{}", "{{ if 1 }}".repeat(10_001), "{{ end }}".repeat(10_001));
    for text in [parens, blocks] {
        assert_eq!(render_one(&text), Err("parse error at (f:1): max expression depth exceeded".to_owned()));
    }
}

#[test]
fn nesting_up_to_the_bound_runs_on_a_small_stack() {
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(9000), ")".repeat(9000));
    let blocks = format!("{}x{}", "{{ if 1 }}".repeat(9000), "{{ end }}".repeat(9000));
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let render = move || [render_one(&parens), render_one(&blocks)];
    let rendered = small.spawn(render).expect("a thread").join().expect("no overflow");
    assert_eq!(rendered, [Ok("1".to_owned()), Ok("x".to_owned())]);
}

#[test]
fn an_exceeded_bound_names_template_and_line() {
    let program = Program::compile(&[("f", "\n{{ range $i, $c := .l }}xxxx{{ end }}")]).expect("it parses");
    let data = Value::map([("l", Value::list(vec![Value::Nil; 100]))]);
    let env = env();
    let mut session = program.session(&env);
    session.executor.steps_left = 50;
    let error = session.render("f", data.clone()).expect_err("too many steps").to_string();
    assert!(error.starts_with("f:2:") && error.ends_with("exceeded the maximum number of steps"), "{error}");
    let mut session = program.session(&env);
    session.executor.max_output = 100;
    let error = session.render("f", data).expect_err("too much output").to_string();
    assert!(error.starts_with("f:2:") && error.ends_with("exceeded the maximum output of 100 bytes"), "{error}");
}

#[test]
fn a_map_that_holds_itself_cannot_be_printed() {
    let map = Map::new(MapType::Any);
    let watch = crate::value::Cycles::watch();
    assert!(map.insert("self".into(), Value::Map(map.clone())));
    let error = render(&[("f", "{{ .self }}")], Value::Map(map)).expect_err("endless");
    assert!(error.contains("a value nested deeper than 1000 cannot be printed"), "{error}");
    drop(watch);
}
