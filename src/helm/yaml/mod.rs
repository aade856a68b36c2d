//! go-yaml's dialect of YAML, the only one that charts, values and manifests go through: v2 as sigs.k8s.io/yaml uses it
//! for charts, values and what templates read and write, v3 as kustomize uses it for the manifests of an environment.
//!
//! Texts become JSON data (`serde_json::Value`) the way Go's two steps make it: numbers that JSON writes as whole are
//! integers, keys are texts, bytes that are no UTF-8 are replaced. Errors have go-yaml's words and lines.

mod budget;
mod chars;
mod decode;
mod emit;
mod error;
mod go_syntax;
mod leaf;
mod manifests;
mod order;
mod parser;
mod plain;
mod reader;
mod resolve;
mod scalar;
mod scanner;
mod style;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use budget::MAX_ALIASED_BYTES;
use decode::Rules;
pub use emit::{Emit, Emitter, MAX_EMITTED, digest_text, emit, emit_pretty, emit_restyled};
pub use error::Error;
pub use manifests::{Manifest, manifests};
use parser::Parser;

/// How deep collections may nest, in texts that are read and in trees that are written. go-yaml stops at 10,000, which
/// nothing but an attack comes near.
pub const MAX_DEPTH: usize = 250;

/// The version of go-yaml whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

/// Reads the first document of a text, null if there is none. Later documents are not looked at.
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    plain::read(text).map_or_else(|| parse_slowly(text), Ok)
}

/// Reads the first document of a text as [`parse`] does, by the rules for all of YAML alone.
pub fn parse_slowly(text: &[u8]) -> Result<Value, Error> {
    first(text, Rules::default())
}

/// Reads the first document of a text for fields that are texts: a float is written as Go writes it into one, so that
/// `1e10` must not become a whole number on the way.
pub fn parse_with_floats(text: &[u8]) -> Result<Value, Error> {
    first(text, Rules { floats: true, ..Rules::default() })
}

/// Reads the first document of a text and refuses keys that occur twice in a mapping.
pub fn parse_strict(text: &[u8]) -> Result<Value, Error> {
    first(text, Rules { strict: true, ..Rules::default() })
}

fn first(text: &[u8], rules: Rules) -> Result<Value, Error> {
    let input = reader::to_utf8(text);
    match Parser::new(&input, Dialect::V2).document()? {
        Some(tree) => decode::decode(&tree, rules),
        None => Ok(Value::Null),
    }
}

/// One document of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The line on which the document starts, from 1: the one of its `---`, where it has one.
    pub line: usize,
    /// What it holds.
    pub value: Value,
}

/// Reads all documents of a text. One that does not decode is an error in its place; what breaks the grammar ends the
/// text.
pub fn documents(text: &[u8]) -> Vec<Result<Document, Error>> {
    let input = reader::to_utf8(text);
    let mut parser = Parser::new(&input, Dialect::V2);
    let mut documents = Vec::new();
    loop {
        match parser.document() {
            Ok(Some(tree)) => {
                let line = tree.line + 1;
                documents.push(decode::decode(&tree, Rules::default()).map(|value| Document { line, value }));
            }
            Ok(None) => return documents,
            Err(error) => {
                documents.push(Err(error));
                return documents;
            }
        }
    }
}
