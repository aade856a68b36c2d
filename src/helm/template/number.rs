//! Number literals: Go's ideal constants.

use super::lex::Kind;
use super::node::{Number, Pos, Site};
use crate::value::quote::{Unit, quoted, unquote_char};
use crate::value::{Const, parse_float, parse_int, parse_uint};

/// Reads a literal under every type that can hold its value; the error is Go's text.
pub(super) fn read(site: Site, pos: Pos, text: &[u8], kind: Kind) -> Result<Number, String> {
    let mut number =
        Number { site, pos, text: text.into(), int: None, uint: None, float: None, complex: None, ideal: None };
    match kind {
        Kind::CharConstant => read_char(&mut number, text)?,
        Kind::Complex => {
            number.complex = Some(read_complex(text).ok_or("expected complex")?);
            simplify_complex(&mut number);
        }
        _ => read_number(&mut number, text)?,
    }
    number.ideal = ideal(&number, text);
    Ok(number)
}

fn read_char(number: &mut Number, text: &[u8]) -> Result<(), String> {
    let (unit, tail) = unquote_char(&text[1..], text[0]).ok_or("invalid syntax")?;
    if tail != b"'" {
        return Err(format!("malformed character constant: {}", String::from_utf8_lossy(text)));
    }
    let code = match unit {
        Unit::Byte(byte) => u32::from(byte),
        Unit::Char(c) => u32::from(c),
    };
    number.int = Some(i64::from(code));
    number.uint = Some(u64::from(code));
    number.float = Some(f64::from(code));
    Ok(())
}

fn read_number(number: &mut Number, text: &[u8]) -> Result<(), String> {
    if let [body @ .., b'i'] = text
        && let Some(imaginary) = parse_float(body)
    {
        number.complex = Some((0.0, imaginary));
        simplify_complex(number);
        return Ok(());
    }
    number.uint = parse_uint(text);
    number.int = parse_int(text);
    if number.int == Some(0) {
        number.uint = Some(0);
    }
    if let Some(int) = number.int {
        number.float = Some(int as f64);
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else if let Some(float) = parse_float(text) {
        // What reads as a float but looks like an integer is too large.
        if !text.iter().any(|b| b".eEpP".contains(b)) {
            return Err(format!("integer overflow: {}", quoted(text)));
        }
        number.float = Some(float);
        number.int = exact_int(float);
        number.uint = exact_uint(float);
    }
    if number.int.is_none() && number.uint.is_none() && number.float.is_none() {
        return Err(format!("illegal number syntax: {}", quoted(text)));
    }
    Ok(())
}

#[allow(clippy::float_cmp, reason = "exactness is what is asked for")]
fn exact_int(float: f64) -> Option<i64> {
    (float < 9_223_372_036_854_775_808.0 && (float as i64) as f64 == float).then_some(float as i64)
}

#[allow(clippy::float_cmp, reason = "exactness is what is asked for")]
fn exact_uint(float: f64) -> Option<u64> {
    ((0.0..18_446_744_073_709_551_616.0).contains(&float) && (float as u64) as f64 == float).then_some(float as u64)
}

/// Reads `a+bi`.
fn read_complex(text: &[u8]) -> Option<(f64, f64)> {
    let body = text.strip_suffix(b"i")?;
    let split = (1..body.len()).rev().find(|at| matches!(body[*at], b'+' | b'-') && !is_exponent(body, *at))?;
    Some((parse_float(&body[..split])?, parse_float(&body[split..])?))
}

/// Tells whether the sign belongs to an exponent.
fn is_exponent(text: &[u8], sign: usize) -> bool {
    let hex = text.starts_with(b"0x") || text.starts_with(b"0X");
    match text[sign - 1] {
        b'e' | b'E' => !hex,
        b'p' | b'P' => true,
        _ => false,
    }
}

/// Adds what a complex number without an imaginary part also is.
fn simplify_complex(number: &mut Number) {
    let Some((real, imaginary)) = number.complex else { return };
    if imaginary == 0.0 {
        number.float = Some(real);
        number.int = exact_int(real);
        number.uint = exact_uint(real);
    }
}

/// Tells what the literal is where no type is asked for.
fn ideal(number: &Number, text: &[u8]) -> Option<Const> {
    if let Some((real, imaginary)) = number.complex {
        return Some(Const::Complex(real, imaginary));
    }
    let hex_int = text.len() > 2 && matches!(text[..2], [b'0', b'x' | b'X']) && !text.iter().any(|b| b"pP".contains(b));
    let rune = text.first() == Some(&b'\'');
    match number.float {
        Some(float) if !hex_int && !rune && text.iter().any(|b| b".eEpP".contains(b)) => Some(Const::Float(float)),
        _ => number.int.map(Const::Int),
    }
}
