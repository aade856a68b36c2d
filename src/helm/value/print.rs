//! `fmt.Sprint("%v")` of a value.

use std::io::Write;

use super::{Str, Value, format_g};
use crate::functions::Failure;

/// How deep values may nest when they are printed, compared or encoded. Only a map that was put into itself nests deeper;
/// Go overflows its stack there.
pub const MAX_DEPTH: usize = 1000;

/// How many bytes one printed value may have. Maps that hold one another repeatedly print exponentially long.
pub const MAX_TEXT: usize = 64 << 20;

impl Value {
    /// Appends the value as `%v` prints it; an untyped nil is `<nil>`. Fails beyond [`MAX_DEPTH`] or [`MAX_TEXT`].
    pub fn print(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        print(self, out, start, 0)
    }

    /// Appends what a pointer points at, without the `&` that `%v` has.
    pub fn print_pointee(&self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let start = out.len();
        self.print(out)?;
        if self.kind() == super::Kind::Ptr && out.get(start) == Some(&b'&') {
            out.remove(start);
        }
        Ok(())
    }

    /// Returns the value as `%v` prints it; a string is returned as it is.
    pub fn to_text(&self) -> Result<Str, Failure> {
        if let Self::Str(s) = self {
            return Ok(s.clone());
        }
        let mut out = Vec::new();
        self.print(&mut out)?;
        Ok(out.into())
    }
}

fn print(value: &Value, out: &mut Vec<u8>, start: usize, depth: usize) -> Result<(), Failure> {
    if depth > MAX_DEPTH {
        return Err(Failure::limit(format!("a value nested deeper than {MAX_DEPTH} cannot be printed")));
    }
    if out.len() - start > MAX_TEXT {
        return Err(Failure::limit(format!("a value longer than {MAX_TEXT} bytes cannot be printed")));
    }
    match value {
        Value::Nil => out.extend_from_slice(b"<nil>"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(i) | Value::Int64(i) => append(out, format_args!("{i}")),
        Value::Uint8(u) => append(out, format_args!("{u}")),
        Value::Uint64(u) => append(out, format_args!("{u}")),
        Value::Float(f) => format_g(out, *f),
        Value::Complex(re, im) => {
            out.push(b'(');
            format_g(out, *re);
            if !(im.is_sign_negative() || im.is_infinite()) {
                out.push(b'+');
            }
            format_g(out, *im);
            out.extend_from_slice(b"i)");
        }
        Value::Str(s) => out.extend_from_slice(s),
        Value::Bytes(bytes) => print_bytes(bytes, out),
        Value::List(list) => {
            out.push(b'[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b' ');
                }
                print(item, out, start, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.extend_from_slice(b"map[");
            let mut first = true;
            map.try_each(|key, value| {
                if !std::mem::take(&mut first) {
                    out.push(b' ');
                }
                out.extend_from_slice(key);
                out.push(b':');
                print(value, out, start, depth + 1)
            })?;
            out.push(b']');
        }
        Value::Obj(object) => {
            if let Some(text) = object.string() {
                out.extend_from_slice(&text);
            } else if let Some(plain) = object.underlying() {
                print(&plain, out, start, depth + 1)?;
            } else if object.is_nil() {
                out.extend_from_slice(b"<nil>");
            } else {
                if object.kind() == super::Kind::Ptr {
                    out.push(b'&');
                }
                out.push(b'{');
                for (at, (_, field)) in object.fields().iter().enumerate() {
                    if at > 0 {
                        out.push(b' ');
                    }
                    print(field, out, start, depth + 1)?;
                }
                out.push(b'}');
            }
        }
    }
    Ok(())
}

/// Each byte's number with a blank behind it, and the length of both.
static NUMBERS: [([u8; 4], u8); 256] = {
    let mut table = [([b' '; 4], 0); 256];
    let mut byte = 0;
    while byte < 256 {
        let digits = [byte as u8 / 100, byte as u8 / 10 % 10, byte as u8 % 10];
        let skipped = if byte < 10 {
            2
        } else if byte < 100 {
            1
        } else {
            0
        };
        let mut at = skipped;
        while at < 3 {
            table[byte].0[at - skipped] = b'0' + digits[at];
            at += 1;
        }
        table[byte].1 = 4 - skipped as u8;
        byte += 1;
    }
    table
};

/// How many bytes are printed at a time.
const PIECE: usize = 1024;

/// Appends bytes as a list of their numbers. Charts put whole files as bytes into what they print, so this is quick.
fn print_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 4 + 2);
    out.push(b'[');
    let mut piece = [0; PIECE * 4];
    for part in bytes.chunks(PIECE) {
        let mut end = 0;
        for byte in part {
            let (text, length) = &NUMBERS[usize::from(*byte)];
            piece[end..end + 4].copy_from_slice(text);
            end += usize::from(*length);
        }
        out.extend_from_slice(&piece[..end]);
    }
    if !bytes.is_empty() {
        out.pop();
    }
    out.push(b']');
}

fn append(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    // Writing into a Vec cannot fail.
    let _ = out.write_fmt(args);
}

#[cfg(test)]
mod tests {
    use super::{PIECE, Value};

    #[test]
    fn bytes_are_written_as_their_numbers() {
        for length in [0, 1, 256, PIECE - 1, PIECE, 3 * PIECE + 1] {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut out = Vec::new();
            Value::Bytes(bytes.clone().into()).print(&mut out).expect("no limit is near");
            let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
            assert_eq!(String::from_utf8_lossy(&out), format!("[{}]", numbers.join(" ")));
        }
    }
}
