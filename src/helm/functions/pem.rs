//! PEM blocks, read as leniently as Go reads them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::encodings::decode64;

const LINE: usize = 64;

/// A block: what stands in its first line, and the bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    pub label: String,
    pub bytes: Vec<u8>,
}

/// Finds the first whole block.
pub fn decode(text: &[u8]) -> Option<Block> {
    let text = String::from_utf8_lossy(text);
    let mut rest: &str = &text;
    loop {
        let begin = rest.find("-----BEGIN ").filter(|at| *at == 0 || rest.as_bytes()[at - 1] == b'\n');
        let Some(begin) = begin else {
            let at = rest.find("-----BEGIN ")?;
            rest = &rest[at + 1..];
            continue;
        };
        rest = &rest[begin + "-----BEGIN ".len()..];
        if let Some(block) = block(rest) {
            return Some(block);
        }
    }
}

/// Reads what follows `-----BEGIN `.
fn block(text: &str) -> Option<Block> {
    let (first, body) = text.split_once('\n').unwrap_or((text, ""));
    let label = first.trim_end_matches(['\r', ' ', '\t']).strip_suffix("-----")?;
    let end = format!("-----END {label}-----");
    let (body, _) = body.split_once(end.as_str())?;
    // Headers are lines with a colon before the first empty line.
    let mut body = body;
    while let Some((line, after)) = body.split_once('\n') {
        if !line.contains(':') {
            break;
        }
        body = after;
    }
    let encoded: Vec<u8> = body.bytes().filter(|c| !matches!(c, b' ' | b'\t' | b'\r' | b'\n')).collect();
    Some(Block { label: label.to_owned(), bytes: decode64(&encoded).ok()? })
}

/// Writes a block in lines of 64 characters.
pub fn encode(label: &str, bytes: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    let encoded = STANDARD.encode(bytes);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_back() {
        let text = format!("noise\n{}more", encode("X Y", &[9; 100]));
        assert_eq!(decode(text.as_bytes()), Some(Block { label: "X Y".into(), bytes: vec![9; 100] }));
        assert_eq!(
            decode(b"-----BEGIN A-----\nKey: v\n\nAAAA\n-----END A-----"),
            Some(Block { label: "A".into(), bytes: vec![0; 3] })
        );
    }

    #[test]
    fn half_a_block_is_none() {
        for text in
            ["", "x", "-----BEGIN A-----\nAAAA\n", "-----BEGIN A-----\n%\n-----END A-----", "x-----BEGIN A-----"]
        {
            assert_eq!(decode(text.as_bytes()), None);
        }
    }
}
