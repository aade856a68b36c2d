//! What a plain scalar is: null, boolean, number, timestamp or text, by go-yaml's rules for each version.

use super::Dialect;

/// What a scalar's text stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer too large for `Int`.
    Uint(u64),
    Float(f64),
    Timestamp,
    Str,
}

impl Scalar {
    /// The short form of the type's tag.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Scalar::Null => "!!null",
            Scalar::Bool(_) => "!!bool",
            Scalar::Int(_) | Scalar::Uint(_) => "!!int",
            Scalar::Float(_) => "!!float",
            Scalar::Timestamp => "!!timestamp",
            Scalar::Str => "!!str",
        }
    }
}

/// Resolves the text of a plain scalar without a tag.
pub(super) fn resolve(text: &[u8], dialect: Dialect) -> Scalar {
    resolve_as(text, dialect, true)
}

/// Resolves a text; `timestamps` tells whether it may be one.
pub(super) fn resolve_as(text: &[u8], dialect: Dialect, timestamps: bool) -> Scalar {
    let Some(&first) = text.first() else { return Scalar::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' => {
            if let Some(special) = infinity(text) {
                return special;
            }
            if timestamps && is_timestamp(text) {
                return Scalar::Timestamp;
            }
            number(text, dialect).unwrap_or(Scalar::Str)
        }
        b'.' => infinity(text).or_else(|| go_float(text).map(Scalar::Float)).unwrap_or(Scalar::Str),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text, dialect),
        _ => Scalar::Str,
    }
}

fn infinity(text: &[u8]) -> Option<Scalar> {
    let value = match text {
        b".nan" | b".NaN" | b".NAN" => f64::NAN,
        b".inf" | b".Inf" | b".INF" | b"+.inf" | b"+.Inf" | b"+.INF" => f64::INFINITY,
        b"-.inf" | b"-.Inf" | b"-.INF" => f64::NEG_INFINITY,
        _ => return None,
    };
    Some(Scalar::Float(value))
}

fn word(text: &[u8], dialect: Dialect) -> Scalar {
    match text {
        b"true" | b"True" | b"TRUE" => Scalar::Bool(true),
        b"false" | b"False" | b"FALSE" => Scalar::Bool(false),
        b"~" | b"null" | b"Null" | b"NULL" => Scalar::Null,
        _ if dialect == Dialect::V3 => Scalar::Str,
        b"y" | b"Y" | b"yes" | b"Yes" | b"YES" | b"on" | b"On" | b"ON" => Scalar::Bool(true),
        b"n" | b"N" | b"no" | b"No" | b"NO" | b"off" | b"Off" | b"OFF" => Scalar::Bool(false),
        _ => Scalar::Str,
    }
}

fn number(text: &[u8], dialect: Dialect) -> Option<Scalar> {
    let plain: Vec<u8>;
    let text = if text.contains(&b'_') {
        plain = text.iter().copied().filter(|&b| b != b'_').collect();
        &plain
    } else {
        text
    };
    if let Some(value) = integer(text) {
        return Some(value);
    }
    if let Some(value) = float(text) {
        return Some(Scalar::Float(value));
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (digits, base) = match digits {
        [b'0', b'b', rest @ ..] => (rest, 2),
        [b'0', b'o', rest @ ..] if dialect == Dialect::V3 => (rest, 8),
        _ => return None,
    };
    // Go puts the sign before whatever follows the prefix, so that a second one makes it no number.
    if negative {
        signed(true, digits, base)
    } else {
        match digits {
            [b'-', rest @ ..] => signed(true, rest, base),
            [b'+', rest @ ..] => signed(false, rest, base),
            _ => signed(false, digits, base).or_else(|| magnitude(digits, base).map(Scalar::Uint)),
        }
    }
}

/// An integer with an optional sign, in the base its prefix tells: `0x`, `0o`, `0b`, or `0` for octal.
fn integer(text: &[u8]) -> Option<Scalar> {
    let (sign, rest) = match text {
        [sign @ (b'+' | b'-'), rest @ ..] => (Some(*sign), rest),
        _ => (None, text),
    };
    let (digits, base) = match rest {
        [b'0', b'x' | b'X', digits @ ..] if !digits.is_empty() => (digits, 16),
        [b'0', b'o' | b'O', digits @ ..] if !digits.is_empty() => (digits, 8),
        [b'0', b'b' | b'B', digits @ ..] if !digits.is_empty() => (digits, 2),
        [b'0', _, ..] => (&rest[1..], 8),
        _ => (rest, 10),
    };
    match signed(sign == Some(b'-'), digits, base) {
        Some(value) => Some(value),
        None if sign.is_none() => magnitude(digits, base).map(Scalar::Uint),
        None => None,
    }
}

fn signed(negative: bool, digits: &[u8], base: u64) -> Option<Scalar> {
    let value = i128::from(magnitude(digits, base)?);
    i64::try_from(if negative { -value } else { value }).ok().map(Scalar::Int)
}

fn magnitude(digits: &[u8], base: u64) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &b| {
        let digit = u64::from(char::from(b).to_digit(36)?);
        if digit >= base {
            return None;
        }
        value.checked_mul(base)?.checked_add(digit)
    })
}

/// A decimal number in YAML's form; one too large for a float is none.
fn float(text: &[u8]) -> Option<f64> {
    let mut rest = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    let whole = digits(&mut rest);
    if let [b'.', after @ ..] = rest {
        rest = after;
        if digits(&mut rest) == 0 && whole == 0 {
            return None;
        }
    } else if whole == 0 {
        return None;
    }
    if let [b'e' | b'E', after @ ..] = rest {
        rest = match after {
            [b'+' | b'-', after @ ..] => after,
            _ => after,
        };
        if digits(&mut rest) == 0 {
            return None;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A number that starts with a point, by Go's own syntax: single underscores may stand between digits.
fn go_float(text: &[u8]) -> Option<f64> {
    if !text.contains(&b'_') {
        return float(text);
    }
    let digit_at = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    let separates = |at: usize| at > 0 && digit_at(at - 1) && digit_at(at + 1);
    if !(0..text.len()).all(|at| text[at] != b'_' || separates(at)) {
        return None;
    }
    float(&text.iter().copied().filter(|&b| b != b'_').collect::<Vec<_>>())
}

/// Takes digits off the front and counts them.
fn digits(rest: &mut &[u8]) -> usize {
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    *rest = &rest[count..];
    count
}

/// Whether a text is one of the timestamps that go-yaml reads.
fn is_timestamp(text: &[u8]) -> bool {
    Timestamp::parse(text).is_some()
}

/// A point in time with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamp<'a> {
    date: [u32; 3],
    time: [u32; 3],
    /// Digits of the second's fraction.
    fraction: &'a [u8],
    /// Whether the zone is west of UTC, and its hours and minutes.
    zone: (bool, u32, u32),
}

impl<'a> Timestamp<'a> {
    /// Reads a date, or date and time as in RFC 3339 with one or two digits in each part, with `T` or `t` and a zone, or
    /// with blanks and no zone.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        if text.len() < 8 || text[4] != b'-' || !text[..4].iter().all(u8::is_ascii_digit) {
            return None;
        }
        let year = text[..4].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
        let mut rest = &text[5..];
        let month = short_number(&mut rest).filter(|month| (1..=12).contains(month))?;
        literal(&mut rest, b'-')?;
        let day = short_number(&mut rest).filter(|&day| day >= 1 && day <= days_in(month, year))?;
        let mut timestamp = Timestamp { date: [year, month, day], time: [0; 3], fraction: b"", zone: (false, 0, 0) };
        match rest {
            [] => {}
            [b'T' | b't', time @ ..] => {
                let zone = timestamp.clock(time)?;
                timestamp.zone = parse_zone(zone)?;
            }
            [b' ', ..] => {
                let blanks = rest.iter().take_while(|&&b| b == b' ').count();
                if !timestamp.clock(&rest[blanks..])?.is_empty() {
                    return None;
                }
            }
            _ => return None,
        }
        Some(timestamp)
    }

    /// Takes hours, minutes, seconds and their fraction, and gives the rest.
    fn clock(&mut self, mut rest: &'a [u8]) -> Option<&'a [u8]> {
        for (part, limit) in [24, 60, 60].into_iter().enumerate() {
            if part > 0 {
                literal(&mut rest, b':')?;
            }
            self.time[part] = short_number(&mut rest).filter(|&number| number < limit)?;
        }
        if let [b'.' | b',', after @ ..] = rest {
            let mut behind = after;
            let count = digits(&mut behind);
            if count > 0 {
                self.fraction = &after[..count];
                rest = behind;
            }
        }
        Some(rest)
    }

    /// The form that Go writes into JSON, none for a zone that it refuses.
    pub(super) fn json(&self) -> Option<String> {
        let Timestamp { date: [year, month, day], time: [hour, minute, second], fraction, zone } = self;
        let nanoseconds = &fraction[..fraction.len().min(9)];
        let significant = nanoseconds.iter().rposition(|&b| b != b'0').map_or(0, |last| last + 1);
        let fraction: String = nanoseconds[..significant].iter().map(|&b| char::from(b)).collect();
        let point = if fraction.is_empty() { "" } else { "." };
        let zone = match zone {
            (_, 0, 0) => "Z".to_owned(),
            (west, hours, minutes) => {
                let total = hours * 60 + minutes;
                if total >= 24 * 60 {
                    return None;
                }
                format!("{}{:02}:{:02}", if *west { '-' } else { '+' }, total / 60, total % 60)
            }
        };
        Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{point}{fraction}{zone}"))
    }
}

fn parse_zone(text: &[u8]) -> Option<(bool, u32, u32)> {
    match text {
        b"Z" => Some((false, 0, 0)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) => {
            let two = |a: &u8, b: &u8| u32::from(a - b'0') * 10 + u32::from(b - b'0');
            let (hours, minutes) = (two(h1, h2), two(m1, m2));
            (hours <= 24 && minutes <= 60).then_some((*sign == b'-', hours, minutes))
        }
        _ => None,
    }
}

/// Takes a byte, if it is the one wanted.
fn literal(rest: &mut &[u8], wanted: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[wanted])?;
    Some(())
}

/// Takes one or two digits.
fn short_number(rest: &mut &[u8]) -> Option<u32> {
    let count = rest.iter().take(2).take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let value = rest[..count].iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    *rest = &rest[count..];
    Some(value)
}

fn days_in(month: u32, year: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whether a text is a YAML 1.1 number in base 60, which go-yaml reads as text and writes in quotes.
pub(super) fn is_base60(text: &[u8]) -> bool {
    let mut rest = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    if !rest.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let whole = rest.iter().take_while(|&&b| b.is_ascii_digit() || b == b'_').count();
    rest = &rest[whole..];
    let mut parts = 0;
    while let [b':', after @ ..] = rest {
        let used = match after {
            [b'0'..=b'5', b'0'..=b'9', ..] => 2,
            [b'0'..=b'9', ..] => 1,
            _ => return false,
        };
        rest = &after[used..];
        parts += 1;
    }
    if let [b'.', after @ ..] = rest {
        let fraction = after.iter().take_while(|&&b| b.is_ascii_digit() || b == b'_').count();
        rest = &after[fraction..];
    }
    parts > 0 && rest.is_empty()
}
