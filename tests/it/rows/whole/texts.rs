//! Releases and snapshots as rows write them: `v2 failed (upgrade) with test results`, `v1 of name b`, `v2 as deployed`.

/// What a text says; nothing where it is silent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revision {
    pub version: i64,
    pub status: Option<String>,
    /// An empty one is that of a snapshot without one.
    pub action: Option<String>,
    pub has_tests: bool,
    pub is_elsewhere: bool,
    pub name: Option<String>,
}

impl Revision {
    pub fn read(text: &str) -> Result<Self, String> {
        let unknown = || format!("'{text}' is not understood");
        let (version, rest) = text.split_once(' ').unwrap_or((text, ""));
        let version = version.strip_prefix('v').and_then(|v| v.parse().ok()).ok_or_else(unknown)?;
        let mut revision = Self { version, ..Self::default() };
        let mut rest = rest.trim();
        while !rest.is_empty() {
            rest = if let Some(rest) = rest.strip_prefix("with test results") {
                revision.has_tests = true;
                rest
            } else if let Some(rest) = rest.strip_prefix("in other ns") {
                revision.is_elsewhere = true;
                rest
            } else if let Some(rest) = rest.strip_prefix("of name ") {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                revision.name = Some(name.to_owned());
                rest
            } else if let Some(rest) = rest.strip_prefix('(') {
                let (action, rest) = rest.split_once(')').ok_or_else(unknown)?;
                revision.action = Some(if action == "no action" { String::new() } else { action.to_owned() });
                rest
            } else {
                let rest = rest.strip_prefix("as ").unwrap_or(rest);
                let (status, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                if revision.status.replace(status.to_owned()).is_some() {
                    return Err(unknown());
                }
                rest
            }
            .trim();
        }
        Ok(revision)
    }
}

#[test]
fn a_text_says_what_a_revision_is() {
    let read = |text: &str| Revision::read(text).unwrap();
    let plain = Revision { version: 1, ..Revision::default() };
    assert_eq!(read("v1"), plain);
    let text = "v2 failed (no action) with test results";
    let (status, action) = (Some("failed".to_owned()), Some(String::new()));
    assert_eq!(read(text), Revision { version: 2, status, action, has_tests: true, ..plain.clone() });
    assert_eq!(read("v1 of name b"), Revision { name: Some("b".to_owned()), ..plain.clone() });
    assert_eq!(read("v1 as failed"), Revision { status: Some("failed".to_owned()), ..plain });
    for text in ["", "1", "vx", "v1 one two", "v1 (open"] {
        assert!(Revision::read(text).is_err(), "{text}");
    }
}
