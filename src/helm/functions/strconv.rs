//! Go's `strconv`: numbers in texts.

/// A text that is no number, or one beyond its type's range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberError<T> {
    Syntax,
    /// The nearest number of the type.
    Range(T),
}

/// Reads an int64 as `strconv.ParseInt(text, base, 64)`; base 0 takes Go's prefixes and underscores.
pub fn parse_int(text: &[u8], base: u32) -> Result<i64, NumberError<i64>> {
    let (negative, digits) = split_sign(text);
    let limit = u128::from(i64::MAX as u64) + u128::from(negative);
    let amount = match parse_digits(digits, base) {
        Ok(amount) if u128::from(amount) <= limit => amount,
        Ok(_) | Err(NumberError::Range(_)) => {
            return Err(NumberError::Range(if negative { i64::MIN } else { i64::MAX }));
        }
        Err(NumberError::Syntax) => return Err(NumberError::Syntax),
    };
    Ok(if negative { (amount as i64).wrapping_neg() } else { amount as i64 })
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn parse_digits(text: &[u8], base: u32) -> Result<u64, NumberError<u64>> {
    let (base, digits, prefixed) = match base {
        0 => split_base(text),
        _ => (base, text, false),
    };
    if digits.is_empty() {
        return Err(NumberError::Syntax);
    }
    let (mut number, mut beyond, mut underscores) = (0u64, false, false);
    for c in digits {
        if *c == b'_' && prefixed {
            underscores = true;
            continue;
        }
        let digit = char::from(*c).to_digit(base).ok_or(NumberError::Syntax)?;
        match number.checked_mul(u64::from(base)).and_then(|n| n.checked_add(u64::from(digit))) {
            Some(next) => number = next,
            None => beyond = true,
        }
    }
    if underscores && !underscores_are_right(text) {
        return Err(NumberError::Syntax);
    }
    if beyond { Err(NumberError::Range(u64::MAX)) } else { Ok(number) }
}

/// Splits the prefix that says the base: `0x`, `0o`, `0b`, `0`. The flag says that underscores are allowed.
fn split_base(text: &[u8]) -> (u32, &[u8], bool) {
    let prefixed = |base| (base, &text[2..], true);
    match (text.first(), text.get(1).map(u8::to_ascii_lowercase)) {
        (Some(b'0'), Some(b'x')) if text.len() >= 3 => prefixed(16),
        (Some(b'0'), Some(b'o')) if text.len() >= 3 => prefixed(8),
        (Some(b'0'), Some(b'b')) if text.len() >= 3 => prefixed(2),
        (Some(b'0'), Some(_)) => (8, &text[1..], true),
        _ => (10, text, true),
    }
}

/// Underscores stand between digits; a prefix counts as one.
fn underscores_are_right(text: &[u8]) -> bool {
    let (_, text) = split_sign(text);
    let kind = text.get(1).map_or(0, u8::to_ascii_lowercase);
    let prefixed = text.first() == Some(&b'0') && matches!(kind, b'x' | b'o' | b'b');
    let hex = prefixed && kind == b'x';
    let mut last = if prefixed { b'0' } else { b'^' };
    for c in &text[if prefixed { 2 } else { 0 }..] {
        let digit = c.is_ascii_digit() || (hex && c.is_ascii_hexdigit());
        match c {
            _ if digit => last = b'0',
            b'_' if last != b'0' => return false,
            b'_' => last = b'_',
            _ if last == b'_' => return false,
            _ => last = b'!',
        }
    }
    last != b'_'
}

/// Reads a float64 as `strconv.ParseFloat(text, 64)`.
pub fn parse_float(text: &[u8]) -> Result<f64, NumberError<f64>> {
    let (negative, plain) = split_sign(text);
    let sign = if negative { -1.0 } else { 1.0 };
    let lower = plain.to_ascii_lowercase();
    match lower.as_slice() {
        b"inf" | b"infinity" => return Ok(sign * f64::INFINITY),
        b"nan" if plain.len() == text.len() => return Ok(f64::NAN),
        _ => {}
    }
    if lower.contains(&b'_') && !underscores_are_right(&lower) {
        return Err(NumberError::Syntax);
    }
    let digits: Vec<u8> = lower.into_iter().filter(|c| *c != b'_').collect();
    let number = match digits.strip_prefix(b"0x") {
        Some(hex) => parse_hex_float(hex)?,
        None => parse_decimal_float(&digits)?,
    };
    if number.is_infinite() {
        return Err(NumberError::Range(sign * number));
    }
    Ok(sign * number)
}

fn parse_decimal_float(digits: &[u8]) -> Result<f64, NumberError<f64>> {
    // Rust reads the same grammar but for the words, which are handled before.
    let plain = digits.iter().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'+' | b'-'));
    let text = std::str::from_utf8(digits).map_err(|_| NumberError::Syntax)?;
    match text.parse() {
        Ok(number) if plain && !matches!(digits[0], b'+' | b'-') => Ok(number),
        _ => Err(NumberError::Syntax),
    }
}

/// Reads digits, a point and `p` with a binary exponent, rounding half to even.
fn parse_hex_float(text: &[u8]) -> Result<f64, NumberError<f64>> {
    let at = text.iter().position(|c| *c == b'p').ok_or(NumberError::Syntax)?;
    let exponent = &text[at + 1..];
    let (down, exponent) = split_sign(exponent);
    if exponent.is_empty() || !exponent.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Syntax);
    }
    let exponent = exponent.iter().fold(0i64, |n, c| (n * 10 + i64::from(c - b'0')).min(100_000));
    let mut power = if down { -exponent } else { exponent };
    let (mut mantissa, mut dot, mut any, mut sticky) = (0u64, false, false, false);
    for c in &text[..at] {
        if *c == b'.' && !dot {
            dot = true;
            continue;
        }
        let digit = char::from(*c).to_digit(16).ok_or(NumberError::Syntax)?;
        any = true;
        // Sixty bits are more than a float64 holds; what follows only tells whether anything follows.
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            power -= if dot { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            power += if dot { 0 } else { 4 };
        }
    }
    if any { Ok(scaled(mantissa, power, sticky)) } else { Err(NumberError::Syntax) }
}

/// Computes `mantissa * 2^power`, rounded once.
fn scaled(mantissa: u64, power: i64, sticky: bool) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let (mantissa, power) = (mantissa << shift, power - i64::from(shift));
    let top = power + 63;
    if top > 1023 {
        return f64::INFINITY;
    }
    // Bits that the result has: 53, or fewer below the smallest normal number.
    let bits = if top >= -1022 { 53 } else { 53 - (-1022 - top) };
    if bits < 0 {
        return 0.0;
    }
    let drop = 64 - bits as u32;
    let (kept, rest) = match drop {
        64 => (0, mantissa),
        _ => (mantissa >> drop, mantissa << (64 - drop)),
    };
    let half = 1u64 << 63;
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    let kept = kept + u64::from(up);
    let power = power + i64::from(drop);
    // The parts are exact; the product is rounded no more since the bits were counted above.
    let low = power.max(-1074) as i32;
    kept as f64 * 2f64.powi(low / 2) * 2f64.powi(low - low / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_prefixes_and_underscores_in_base_0() {
        for (text, want) in [
            ("010", Ok(8)),
            ("0x_1F", Ok(31)),
            ("1_000", Ok(1000)),
            ("0b11", Ok(3)),
            ("0o17", Ok(15)),
            ("-0", Ok(0)),
            ("08", Err(NumberError::Syntax)),
            ("1__0", Err(NumberError::Syntax)),
            ("0x", Err(NumberError::Syntax)),
            ("", Err(NumberError::Syntax)),
            ("9223372036854775808", Err(NumberError::Range(i64::MAX))),
            ("-9223372036854775808", Ok(i64::MIN)),
        ] {
            assert_eq!(parse_int(text.as_bytes(), 0), want, "{text}");
        }
        assert_eq!(parse_int(b"010", 10), Ok(10));
        assert_eq!(parse_int(b"1_0", 10), Err(NumberError::Syntax));
    }

    #[test]
    fn floats_are_read_in_all_of_gos_forms() {
        for (text, want) in [
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("0x1p-2", 0.25),
            ("0x1.8p1", 3.0),
            ("-Inf", f64::NEG_INFINITY),
            ("1_0.5", 10.5),
            ("0x1p-1074", 5e-324),
            ("0x.8P1", 1.0),
        ] {
            assert_eq!(parse_float(text.as_bytes()), Ok(want), "{text}");
        }
        for text in ["", ".", "1e", "0x1", "1__0", "+nan", "e3", "--1", "1 "] {
            assert_eq!(parse_float(text.as_bytes()), Err(NumberError::Syntax), "{text}");
        }
        assert_eq!(parse_float(b"1e400"), Err(NumberError::Range(f64::INFINITY)));
    }
}
