//! Base 64 and base 32. What cannot be decoded gives Go's error text in place of a result.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::BASE32;

use super::arguments::text;
use super::{Function, Type};
use crate::value::Value;

const STR: Type = Type::String;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("b64enc", &[STR], |_, a| Ok(STANDARD.encode(text(a, 0)).into())),
    Function::new("b64dec", &[STR], |_, a| Ok(or_text(decode64(text(a, 0))))),
    Function::new("b32enc", &[STR], |_, a| Ok(BASE32.encode(text(a, 0)).into())),
    Function::new("b32dec", &[STR], |_, a| Ok(or_text(decode32(text(a, 0))))),
];

/// A text that is not encoded as it should be; the number is where, by Go's count.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("illegal {encoding} data at input byte {at}")]
pub struct DecodeError {
    encoding: &'static str,
    at: usize,
}

fn or_text(decoded: Result<Vec<u8>, DecodeError>) -> Value {
    decoded.map_or_else(|error| error.to_string().into(), Value::from)
}

fn digit64(c: u8) -> Option<u8> {
    Some(match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Decodes as `base64.StdEncoding`: line breaks are skipped, padding is required, leftover bits may be anything.
pub fn decode64(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let corrupt = |at| Err(DecodeError { encoding: "base64", at });
    let newlines = |from: usize| text[from..].iter().take_while(|c| matches!(c, b'\n' | b'\r')).count();
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held, mut at) = (0u32, 0usize, 0usize);
    while let Some(&c) = text.get(at) {
        at += 1;
        if let Some(digit) = digit64(c) {
            bits = bits << 6 | u32::from(digit);
            held += 1;
            if held == 4 {
                out.extend_from_slice(&bits.to_be_bytes()[1..]);
                (bits, held) = (0, 0);
            }
            continue;
        }
        match (c, held) {
            (b'\n' | b'\r', _) => continue,
            (b'=', 2) => {
                at += newlines(at);
                match text.get(at) {
                    None => return corrupt(text.len()),
                    Some(b'=') => at += 1,
                    Some(_) => return corrupt(at),
                }
            }
            (b'=', 3) => {}
            _ => return corrupt(at - 1),
        }
        at += newlines(at);
        if at < text.len() {
            return corrupt(at);
        }
        let bytes = (bits << (6 * (4 - held))).to_be_bytes();
        out.extend_from_slice(&bytes[1..held]);
        return Ok(out);
    }
    if held == 0 { Ok(out) } else { corrupt(at - held) }
}

fn digit32(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'2'..=b'7' => Some(c - b'2' + 26),
        _ => None,
    }
}

/// Decodes as `base32.StdEncoding`.
fn decode32(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let corrupt = |at| Err(DecodeError { encoding: "base32", at });
    let text: Vec<u8> = text.iter().copied().filter(|c| !matches!(c, b'\n' | b'\r')).collect();
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    let mut at = 0;
    while at < text.len() {
        let (mut bits, mut held) = (0u64, 0);
        let mut ended = false;
        while held < 8 && !ended {
            let Some(&c) = text.get(at) else { return corrupt(at - held) };
            at += 1;
            let left = text.len() - at;
            if c == b'=' && held >= 2 && left < 8 {
                if left + held < 7 {
                    return corrupt(text.len());
                }
                if let Some(wrong) = text[at..].iter().take(7 - held).position(|c| *c != b'=') {
                    return corrupt(at + wrong - 1);
                }
                // Three and six digits make no whole number of bytes.
                if matches!(held, 3 | 6) {
                    return corrupt(at - 1);
                }
                ended = true;
            } else {
                let Some(digit) = digit32(c) else { return corrupt(at - 1) };
                bits = bits << 5 | u64::from(digit);
                held += 1;
            }
        }
        let bytes = (bits << (5 * (8 - held))).to_be_bytes();
        out.extend_from_slice(&bytes[3..3 + held * 5 / 8]);
        if ended {
            break;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_faults_are_counted_as_in_go() {
        for (text, want) in [
            ("aGVsbG8=", Ok("hello")),
            ("aGVs\nbG8=\n", Ok("hello")),
            ("aGVsbG9=", Ok("hello")),
            ("", Ok("")),
            ("aGVsbG8", Err(4)),
            ("a", Err(0)),
            ("%%", Err(0)),
            ("aGVsbG8=x", Err(8)),
            ("aG=V", Err(3)),
            ("aG=", Err(3)),
            ("a===", Err(1)),
        ] {
            let want = want.map(|s| s.as_bytes().to_vec()).map_err(|at| DecodeError { encoding: "base64", at });
            assert_eq!(decode64(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn base_32_is_decoded_whole() {
        assert_eq!(decode32(b"NBSWY3DP"), Ok(b"hello".to_vec()));
        assert_eq!(decode32(b"NBSWY3DPEE======"), Ok(b"hello!".to_vec()));
        assert!(decode32(b"NBSWY3D").is_err());
        assert!(decode32(b"nbswy3dp").is_err());
    }
}
