//! What must not be read in a status, an event or a log of a release: values that come from Secrets, and what its own
//! Secrets hold.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use helm::release::Release;
use serde_json::Value;

use super::record;
use crate::cluster::redact::MASK;

/// A shorter text is no secret, and would mask words that have nothing to do with it.
const SHORTEST: usize = 4;
/// A shorter text is masked as a word of its own alone.
const WORD: usize = 12;

/// Texts that are masked wherever they are written.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Longer ones first, so that one that holds another is masked as a whole.
    texts: BTreeSet<(std::cmp::Reverse<usize>, String)>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redaction of {} texts", self.texts.len())
    }
}

impl Redaction {
    /// Learns the content of one key of a Secret that values come from: a text, or YAML with texts in it.
    pub fn learn_content(&mut self, content: &[u8]) {
        match helm::yaml::parse(content) {
            Ok(tree @ (Value::Object(_) | Value::Array(_))) => self.learn_tree(&tree),
            Ok(_) | Err(_) => self.learn_text(&String::from_utf8_lossy(content)),
        }
    }

    /// Learns what the Secrets of a revision hold, hooks included.
    pub fn learn_record(&mut self, record: &Release) {
        self.learn_manifest(&record.manifest);
        record.hooks.iter().filter(|hook| hook.kind == "Secret").for_each(|hook| self.learn_manifest(&hook.manifest));
    }

    fn learn_manifest(&mut self, manifest: &str) {
        // One that cannot be read has been refused before anything of it was written.
        for tree in record::objects(manifest).unwrap_or_default() {
            if tree["kind"] == "Secret" {
                self.learn_secret(&tree);
            }
        }
    }

    fn learn_secret(&mut self, secret: &Value) {
        self.learn_tree(&secret["stringData"]);
        for encoded in secret["data"].as_object().into_iter().flat_map(|data| data.values()).filter_map(Value::as_str) {
            self.learn_text(encoded);
            if let Ok(content) = STANDARD.decode(encoded.trim()) {
                self.learn_text(&String::from_utf8_lossy(&content));
            }
        }
    }

    fn learn_tree(&mut self, tree: &Value) {
        match tree {
            Value::String(text) => self.learn_text(text),
            Value::Array(items) => items.iter().for_each(|item| self.learn_tree(item)),
            Value::Object(entries) => entries.values().for_each(|entry| self.learn_tree(entry)),
            Value::Number(number) => self.learn_text(&number.to_string()),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn learn_text(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST) {
            self.texts.insert((std::cmp::Reverse(line.len()), line.to_owned()));
        }
    }

    /// Masks what was learnt.
    pub fn apply(&self, text: &str) -> String {
        self.texts.iter().fold(text.to_owned(), |text, (_, secret)| masked(&text, secret))
    }
}

fn masked(text: &str, secret: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let previous = before.chars().next_back().or_else(|| out.chars().next_back());
        let is_part = secret.len() < WORD && (joins(previous) || joins(after.chars().next()));
        out.extend([before, if is_part { secret } else { MASK }]);
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_masked_whatever_shape_they_have() {
        let mut redaction = Redaction::default();
        redaction.learn_content(b"db:\n  password: hunter2\n  port: 54321\n  list: [abcdefghijklmno]\n  tiny: abc\n");
        redaction.learn_content(b"  plain-text-key\n");
        let text = "at 'hunter2', not 'xhunter2': 54321 xabcdefghijklmnox abc plain-text-key";
        assert_eq!(redaction.apply(text), "at '*****', not 'xhunter2': ***** x*****x abc *****");
    }

    #[test]
    fn what_the_releases_own_secrets_hold_is_masked_encoded_or_not() {
        let manifest = "---\n# Source: a\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: aHVudGVyMg==}\n\
                        stringData: {l: a secret phrase}\n---\nkind: ConfigMap\ndata: {k: public-text}\n";
        let mut redaction = Redaction::default();
        redaction.learn_manifest(manifest);
        let text = "hunter2 aHVudGVyMg== a secret phrase public-text";
        assert_eq!(redaction.apply(text), "***** ***** ***** public-text");
        assert_eq!(format!("{redaction:?}"), "Redaction of 3 texts");
    }
}
