//! What is fuzzed: each target takes bytes, checks what must hold, and tells the outcome in words.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, LazyLock};

use crate::source::index::Index;
use helm::chart::Chart;
use helm::chart::archive::{self, BufferedFile};
use helm::chart::values;
use helm::functions::{Env, Random};
use helm::release::Release;
use helm::render::{Options, render};
use helm::semver::{Constraints, Version};
use helm::{json, strvals, yaml};
use jiff::Timestamp;
use serde_json::{Map, Value};

pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]) -> String,
    seeds: fn() -> Vec<Vec<u8>>,
    /// What mutations put in.
    pub words: &'static [&'static str],
}

impl Target {
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }
}

pub const TARGETS: &[Target] = &[
    Target { name: "template", run: template, seeds: template_seeds, words: TEMPLATE_WORDS },
    Target { name: "yaml", run: read_yaml, seeds: yaml_seeds, words: YAML_WORDS },
    Target { name: "yaml-round-trip", run: round_trip, seeds: yaml_seeds, words: YAML_WORDS },
    Target { name: "json", run: read_json, seeds: json_seeds, words: JSON_WORDS },
    Target { name: "strvals", run: set_values, seeds: strvals_seeds, words: STRVALS_WORDS },
    Target { name: "semver", run: versions, seeds: semver_seeds, words: SEMVER_WORDS },
    Target { name: "regex", run: regex, seeds: regex_seeds, words: REGEX_WORDS },
    Target { name: "schema", run: schema, seeds: schema_seeds, words: SCHEMA_WORDS },
    Target { name: "archive", run: read_archive, seeds: archive_seeds, words: &[] },
    Target { name: "release", run: record, seeds: record_seeds, words: JSON_WORDS },
    Target { name: "index", run: read_index, seeds: index_seeds, words: INDEX_WORDS },
];

fn outcome<T>(result: Result<T, impl ToString>) -> String {
    match result {
        Ok(_) => "good".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Randomness that is the same for every input.
#[derive(Default)]
struct Sequence(Cell<u64>);

impl Random for Sequence {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let state = self.0.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0.set(state);
            *byte = (state >> 56) as u8;
        }
    }
}

fn render_files(files: &[(&str, &[u8])], values: &Map<String, Value>) -> String {
    let files = files.iter().map(|(name, data)| BufferedFile {
        name: (*name).to_owned(),
        modified: None,
        data: Arc::from(*data),
    });
    let chart = match Chart::from_files(files.collect()) {
        Ok(chart) => Arc::new(chart),
        Err(error) => return error.to_string(),
    };
    let random = Sequence::default();
    let options = Options::install("rel", "ns", Env::at(Timestamp::UNIX_EPOCH, &random));
    outcome(render(&chart, values, &options).map_err(|failure| failure.error.to_string()))
}

const CHART: &[u8] = b"apiVersion: v2\nname: c\nversion: 1.0.0\n";
const VALUES: &[u8] = b"n: 3\nf: 1.5\ns: text\nl: [1, a, {b: c}]\nm: {a: {b: 1}, c: [x]}\nt: true\n";

fn template(input: &[u8]) -> String {
    static USERS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
        let text = include_bytes!("../../engine/vector_chart/values.yaml");
        values::load(text).unwrap_or_default()
    });
    let files: &[(&str, &[u8])] = &[("Chart.yaml", CHART), ("values.yaml", VALUES), ("templates/a.yaml", input)];
    render_files(files, &USERS)
}

fn template_seeds() -> Vec<Vec<u8>> {
    let rows = include_str!("../../engine/vectors.jsonl").lines();
    let rows = rows.filter_map(|row| serde_json::from_str::<Value>(row).ok());
    let mut seeds: Vec<Vec<u8>> = rows.filter_map(|row| Some(row["tpl"].as_str()?.as_bytes().to_vec())).collect();
    // Keys take a second each, and all of them the same way.
    seeds.retain(|seed| !contains(seed, b"genPrivateKey") && !contains(seed, b"Cert") && !contains(seed, b"genCA"));
    seeds.extend(texts(&[
        "a: {{ .Values.s | quote }}",
        "{{- range $i, $x := .Values.l }}\n- {{ $i }}: {{ $x | toJson }}\n{{- end }}",
        "{{ define \"x\" }}{{ .a }}{{ end }}a: {{ include \"x\" (dict \"a\" 1) | nindent 2 }}",
        "{{ if and .Values.t (gt (int .Values.n) 2) }}a: 1{{ else if eq 1 2 }}b{{ else }}c{{ end }}",
        "{{ with .Values.m }}{{ .a.b }}{{ toYaml . | indent 4 }}{{ end }}",
        "{{ tpl \"{{ .Values.s }}\" . }}{{ printf \"%5.2f %-4s|%q\" 1.5 \"a\" \"b\" }}",
        "{{ $a := list 1 2 3 }}{{ range $a }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ . }}{{ end }}",
        "{{ regexReplaceAll \"a(x*)b\" \"-ab-axxb-\" \"${1}W\" }}{{ semverCompare \">=1.2\" \"1.3.0\" }}",
        "{{ merge (dict \"a\" 1) (dict \"b\" 2) | toYaml }}{{ fromYaml \"a: [1\" }}{{ date \"2006-01-02\" now }}",
        "{{/* c */}}{{ `raw` }}{{ 0x1F }}{{ 'a' }}{{ 1e3 }}{{ nil }}{{ block \"b\" . }}x{{ end }}",
    ]));
    seeds
}

const TEMPLATE_WORDS: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    "end",
    "else",
    "if ",
    "range ",
    "with ",
    "define \"x\"",
    "template \"x\" .",
    "include \"x\" .",
    "block \"x\" .",
    "break",
    "continue",
    "$x := ",
    "$x = ",
    "| ",
    "(",
    ")",
    ".",
    "$",
    "nil",
    "true",
    "\"a\"",
    "`a`",
    "'a'",
    "1",
    "-1",
    "1.5",
    "0x",
    "1e9",
    ".Values",
    ".Values.l",
    ".Values.m",
    "printf \"%v\" ",
    "index ",
    "slice ",
    "len ",
    "dict ",
    "list ",
    "until 5",
    "repeat 9 ",
    "toYaml",
    "fromYaml",
    "toJson",
    "fromJson",
    "tpl ",
    "quote",
    "nindent 2",
    "trunc 3 ",
    "splitList \",\" ",
    "regexMatch ",
    "set ",
    "merge ",
    "deepCopy ",
    "ternary 1 2 ",
    "default ",
    "required \"x\" ",
    "fail ",
    "lookup ",
    "seq 3",
    "untilStep 0 9 2",
    "html",
    "js",
    "urlquery",
    "and ",
    "or ",
    "not ",
    "eq ",
    "lt ",
    "/* */",
];

fn read_yaml(input: &[u8]) -> String {
    let read = yaml::parse(input);
    assert!(read == yaml::parse_slowly(input), "the quick way leads to the same");
    let first = outcome(read);
    let strict = outcome(yaml::parse_strict(input));
    let all = yaml::documents(input).len();
    let manifests = yaml::manifests(input);
    for manifest in &manifests {
        assert!(manifest.line > 0 && manifest.number > 0, "a manifest has a place");
    }
    format!("{first} {strict} {} {}", all.min(3), manifests.len().min(3))
}

fn round_trip(input: &[u8]) -> String {
    let Ok(tree) = yaml::parse(input) else { return "unread".to_owned() };
    let mut pretty = Vec::new();
    let pretty_written = yaml::emit_pretty(&tree, &mut pretty);
    assert!(pretty_written.is_ok(), "whatever was read has a pretty form");
    let mut text = Vec::new();
    if let Err(error) = yaml::emit(&tree, 0, &mut text) {
        return error.to_string();
    }
    // go-yaml itself does not read back all that it writes around these line breaks.
    // A text `<<` is written as it is and read back as a merge, by go-yaml too.
    if contains(&text, b"<<") {
        return "merge".to_owned();
    }
    if ["\u{85}", "\u{2028}", "\u{2029}"].iter().any(|line_break| contains(&text, line_break.as_bytes())) {
        return "odd line breaks".to_owned();
    }
    // toYaml cuts the last line break, which belongs to a block that ends the text.
    let again = yaml::parse(&[&text, b"\n".as_slice()].concat());
    let mut second = Vec::new();
    match again.and_then(|tree| yaml::emit(&tree, 0, &mut second)) {
        Ok(()) => assert!(text == second, "what was written reads back the same"),
        Err(error) => panic!("what was written does not read back: {error}"),
    }
    let mut padded = Vec::new();
    assert!(yaml::emit(&tree, 4, &mut padded).is_ok(), "indentation changes nothing");
    let kinds =
        [("list", b"- ".as_slice()), ("quoted", b"\""), ("literal", b"|"), ("complex", b"? "), ("empty", b"{}")];
    let found: Vec<&str> = kinds.iter().filter(|(_, mark)| contains(&text, mark)).map(|(name, _)| *name).collect();
    format!("written {}", found.join(" "))
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

fn yaml_seeds() -> Vec<Vec<u8>> {
    let rows = include_str!("../../engine/yaml/parse.jsonl").lines();
    let rows = rows.filter_map(|row| serde_json::from_str::<Value>(row).ok());
    let mut seeds: Vec<Vec<u8>> = rows.filter_map(|row| Some(row["text"].as_str()?.as_bytes().to_vec())).collect();
    seeds.push(VALUES.to_vec());
    seeds
}

const YAML_WORDS: &[&str] = &[
    ": ",
    "- ",
    "? ",
    "\n",
    "\n  ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!!int ",
    "!!binary ",
    "!",
    "|",
    ">",
    "|-\n",
    ">+\n",
    "|2\n",
    "'",
    "\"",
    "\\u00e9",
    "\\x41",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "#",
    " # c",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "%TAG ! a:\n",
    "~",
    "null",
    "true",
    "yes",
    "0x1F",
    "1e9",
    "1_000",
    "12:30",
    "2001-12-14",
    ".inf",
    ".nan",
    "\t",
    "\r\n",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\0",
    "\u{7f}",
    "a: ",
    "b",
    "{{ .x }}",
];

fn read_json(input: &[u8]) -> String {
    let value = json::parse(input);
    if let Ok(value) = &value {
        let text = json::to_text(value, json::Escape::Html);
        let again = json::parse(text.as_bytes());
        assert!(again.is_ok_and(|again| json::to_text(&again, json::Escape::Html) == text), "JSON reads back the same");
    }
    outcome(value)
}

fn json_seeds() -> Vec<Vec<u8>> {
    let rows = include_str!("../../engine/yaml/json.jsonl").lines();
    let rows = rows.filter_map(|row| serde_json::from_str::<Value>(row).ok());
    rows.filter_map(|row| Some(row["text"].as_str()?.as_bytes().to_vec())).collect()
}

const JSON_WORDS: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\\"", "\\u00e9", "\\ud83d", "\\n", "true", "false", "null", "0", "-1", "1.5",
    "1e400", "1e-7", " ", "\n", "\u{feff}",
];

fn set_values(input: &[u8]) -> String {
    let line = String::from_utf8_lossy(input);
    let mut found = Vec::new();
    for set in [strvals::parse_into, strvals::parse_into_string, strvals::parse_json, strvals::parse_literal_into] {
        let mut values = Map::new();
        found.push(outcome(set(&line, &mut values)));
    }
    found.join(" ")
}

fn strvals_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "a=b",
        "a.b.c=1,d[0]=x",
        "a={1,2,3}",
        "a[1][2].b=true",
        "a\\.b=c\\,d",
        "a={\"b\":[1]}",
        "a=null,b=",
        "a[0]={x,y}",
    ])
}

const STRVALS_WORDS: &[&str] =
    &["=", ",", ".", "[", "]", "{", "}", "[0]", "[65536]", "\\", "null", "true", "1", "a", "\"", "[-1]"];

fn versions(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let (constraint, version) = text.split_once('\n').unwrap_or((&text, "1.2.3"));
    let strict = outcome(Version::parse_strict(version));
    let version = Version::parse(version);
    let checked = match (&version, Constraints::parse(constraint)) {
        (Ok(version), Ok(constraint)) => format!("checked {}", constraint.check(version)),
        (_, constraint) => outcome(constraint),
    };
    format!("{} {strict} {checked}", outcome(version))
}

fn semver_seeds() -> Vec<Vec<u8>> {
    texts(&[
        ">=1.2 <2 || ^3.x\n1.3.0",
        "~1.2.3\nv1.2",
        "1.0 - 2.0\n1.5.0-rc.1+b",
        "!=1.*\n2",
        "=>1, <=2\n01.2.3",
        "*\n",
    ])
}

const SEMVER_WORDS: &[&str] = &[
    ">=",
    "<=",
    "=>",
    "!=",
    "~>",
    "^",
    "||",
    " - ",
    ", ",
    "x",
    "X",
    "*",
    "v",
    "-rc.1",
    "+b",
    ".",
    "0",
    "99999999999999999999",
    "\n",
];

fn regex(input: &[u8]) -> String {
    let pattern = String::from_utf8_lossy(input).replace('`', "");
    let calls = format!(
        "a: {{{{ regexMatch `{pattern}` .Values.s }}}}\nb: {{{{ regexFindAll `{pattern}` \"aXbXcab\" -1 | toJson }}}}\n\
         c: {{{{ regexReplaceAll `{pattern}` \"abcab\" \"${{1}}x\" | quote }}}}\nd: {{{{ mustRegexMatch `{pattern}` \"\" }}}}"
    );
    template(calls.as_bytes())
}

fn regex_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "^a(x*)b$",
        "[\\w-\\.]+",
        "(?P<n>a|b){2,3}",
        "\\pL\\Q.\\E\\z",
        "(?i:a)+?",
        "[[:alpha:]^-]",
        "a{1001}",
        "(?s).*\\b",
        "[^\\x00-\\x{10FFFF}]",
    ])
}

const REGEX_WORDS: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "[^",
    "{2,3}",
    "{1000}",
    "*",
    "+",
    "?",
    "|",
    "\\w",
    "\\d",
    "\\pL",
    "\\P{Greek}",
    "\\Q",
    "\\E",
    "\\z",
    "\\A",
    "\\b",
    "(?i)",
    "(?P<n>",
    "(?:",
    "[[:alpha:]]",
    "\\x{10FFFF}",
    "^",
    "$",
    ".",
    "\\C",
    "\\1",
    "-",
];

fn schema(input: &[u8]) -> String {
    let files: &[(&str, &[u8])] =
        &[("Chart.yaml", CHART), ("values.yaml", VALUES), ("values.schema.json", input), ("templates/a.yaml", b"a: 1")];
    render_files(files, &Map::new())
}

fn schema_seeds() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"type":"object","properties":{"n":{"type":"integer","minimum":1,"maximum":2}},"required":["s","x"]}"#,
        r##"{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"d":{"type":"string"}},"properties":{"s":{"$ref":"#/definitions/d"}}}"##,
        r##"{"$defs":{"r":{"properties":{"a":{"$ref":"#/$defs/r"}}}},"$ref":"#/$defs/r","additionalProperties":false}"##,
        r#"{"properties":{"l":{"items":{"anyOf":[{"type":"number"},{"enum":["a"]}]},"uniqueItems":true,"maxItems":2}}}"#,
        r#"{"patternProperties":{"^m":{"minProperties":3}},"if":{"required":["t"]},"then":{"not":{}}}"#,
    ])
}

const SCHEMA_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"type\":",
    "\"object\"",
    "\"properties\":",
    "\"$ref\":",
    "\"#\"",
    "\"#/$defs/r\"",
    "\"items\":",
    "\"allOf\":",
    "\"anyOf\":",
    "\"oneOf\":",
    "\"not\":",
    "\"pattern\":",
    "\"format\":",
    "\"multipleOf\":",
    "\"enum\":",
    "\"const\":",
    "\"dependencies\":",
    "\"http://example.com/s\"",
    "\"file:///etc/passwd\"",
    "true",
    "false",
    "null",
    "0",
    "1e400",
    "-1",
];

fn read_archive(input: &[u8]) -> String {
    let whole = Chart::from_archive(input).map(|_| ());
    // Most mutations break the compression; the same bytes as a plain archive get further.
    let packed = archive::read(&gzip(input)).map(|_| ());
    format!("{} {}", outcome(whole), outcome(packed))
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let written = encoder.write_all(data).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

fn archive_seeds() -> Vec<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in [("c/Chart.yaml", CHART), ("c/values.yaml", VALUES), ("c/templates/a.yaml", b"a: 1")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        if builder.append_data(&mut header, name, data).is_err() {
            return Vec::new();
        }
    }
    let plain = builder.into_inner().unwrap_or_default();
    vec![gzip(&plain), plain]
}

/// An index read chart by chart, as a whole and as it was written is the same one.
fn read_index(input: &[u8]) -> String {
    let read = Index::read(input);
    let Ok(index) = read else { return outcome(read) };
    if let Some(text) = yaml::parse_strict(input).ok().and_then(|document| serde_json::to_vec(&document).ok()) {
        assert_eq!(Index::read(&text).ok().as_ref(), Some(&index), "an index is the same in JSON");
    }
    let written = index.write();
    assert_eq!(Index::read_written(&written).ok().as_ref(), Some(&index), "an index is read back");
    assert!(Index::read(&written).is_ok(), "what is written is an index");
    let names = ["alpine", "a", ""];
    let found = names.map(|name| ["", "1.x", ">0-0", "1.0.0"].map(|range| outcome(index.find(name, range))));
    format!("{} {found:?}", index.len())
}

fn index_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "apiVersion: v1\nentries:\n  alpine:\n  - created: 2016-10-06T16:23:20Z\n    digest: 99c7\n    name: alpine\n    urls:\n    - https://example.com/a-1.0.0.tgz\n    version: 1.0.0\n  # c\n  a:\n    - name: a\n      version: 0.2.0-rc.1\n      urls: [a.tgz]\ngenerated: x\n",
        "{\"apiVersion\":\"v1\",\"entries\":{\"a\":[{\"name\":\"a\",\"version\":\"1.0.0\",\"urls\":[\"u\"],\"dependencies\":[{\"alias\":\"x\"}]}]}}",
        "entries:\n  a: null\n  b: []\napiVersion: 1\n",
    ])
}

const INDEX_WORDS: &[&str] = &[
    "entries:\n",
    "\nentries:\n",
    "apiVersion: v1\n",
    "  alpine:\n",
    "  - name: a\n",
    "    version: 1.0.0\n",
    "    urls: [x]\n",
    "    created: 2024-01-01T00:00:00Z\n",
    "    dependencies:\n    - alias: b\n",
    "    description: |\n      text\n",
    "&a ",
    "*a",
    "<<: *a",
    "# c\n",
    "---\n",
    "  ",
    "\n",
    ": ",
    "- ",
    "null",
    "v1.2.3-rc.1+b",
];

fn record(input: &[u8]) -> String {
    let found = outcome(Release::decode(input));
    let Ok(release) = Release::decode(&base64_gzip(input)) else { return found };
    let encoded = release.encode();
    assert!(encoded.is_ok_and(|text| Release::decode(text.as_bytes()).is_ok()), "a record reads back");
    let parts =
        BTreeMap::from([("metadata", outcome(release.chart_metadata())), ("values", outcome(release.chart_values()))]);
    format!("{found} {parts:?}")
}

/// The form in which a release's JSON is stored.
fn base64_gzip(json: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for chunk in gzip(json).chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &b| (bits << 8) | u32::from(b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= chunk.len() { ALPHABET[index as usize] } else { b'=' });
        }
    }
    text
}

fn record_seeds() -> Vec<Vec<u8>> {
    let json = r#"{"name":"rel","info":{"first_deployed":"2026-01-02T03:04:05.678Z","last_deployed":"2026-01-02T03:04:05Z",
        "deleted":"","description":"Install complete","status":"deployed","notes":"x"},"chart":{"metadata":{"name":"c",
        "version":"1.0.0","apiVersion":"v2"},"lock":null,"templates":[{"name":"templates/a.yaml","data":"YTogMQ=="}],
        "values":{"a":1},"schema":"","files":null},"config":{"a":{"b":[1,"x"]}},"manifest":"---\n# Source: c/a\na: 1\n",
        "hooks":[{"name":"h","kind":"Job","path":"p","manifest":"m","events":["pre-install"],"last_run":{"started_at":"",
        "completed_at":"","phase":""},"weight":1,"delete_policies":["hook-succeeded"]}],"version":3,"namespace":"ns"}"#;
    vec![json.as_bytes().to_vec(), base64_gzip(json.as_bytes())]
}
