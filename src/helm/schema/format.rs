//! `format`: what a string must look like, with the library's reasons.

use std::net::Ipv6Addr;

use regex::bytes::Regex;

use crate::functions::re2;
use crate::functions::urls::{self, Url};
use crate::quote::{quote_char, quote_for_time};

/// A format that is checked.
#[derive(Debug)]
pub struct Format {
    name: &'static str,
    check: Check,
}

/// Checks a text; the error is the reason.
type Check = fn(&str) -> Result<(), String>;

const FORMATS: &[(&str, Check)] = &[
    ("regex", |text| regex(text).map(|_| ())),
    ("json-pointer", json_pointer),
    ("relative-json-pointer", relative_json_pointer),
    ("uuid", uuid),
    ("duration", duration),
    ("ipv4", ipv4),
    ("ipv6", ipv6),
    ("hostname", hostname),
    ("email", email),
    ("date", date),
    ("time", time),
    ("date-time", date_time),
    ("uri", uri),
    ("iri", uri),
    ("uri-reference", uri_reference),
    ("iri-reference", uri_reference),
];

impl Format {
    /// Finds a format; one that is not known is not checked.
    pub fn find(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(known, _)| *known == name).map(|(name, check)| Self { name, check: *check })
    }

    pub fn name(&self) -> &str {
        self.name
    }

    /// Checks a text; the error is the reason.
    pub fn check(&self, text: &str) -> Result<(), String> {
        (self.check)(text)
    }
}

/// The largest compiled expression, in bytes.
const MAX_REGEX_SIZE: usize = 8 << 20;

/// Compiles an expression of RE2's dialect; the error is Go's text.
pub fn regex(pattern: &str) -> Result<Regex, String> {
    let translated = re2::translate(pattern.as_bytes()).map_err(|error| error.to_string())?;
    let compiled = regex::bytes::RegexBuilder::new(&translated.pattern).size_limit(MAX_REGEX_SIZE).build();
    compiled.map_err(|_| format!("error parsing regexp: expression too large: `{pattern}`"))
}

fn uri(text: &str) -> Result<(), String> {
    let url = url(text)?;
    if url.scheme.is_empty() { refuse("relative url") } else { Ok(()) }
}

fn uri_reference(text: &str) -> Result<(), String> {
    if text.contains('\\') {
        return refuse("contains \\");
    }
    url(text).map(|_| ())
}

fn url(text: &str) -> Result<Url, String> {
    let url = urls::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    let host = String::from_utf8_lossy(url.hostname()).into_owned();
    if host.contains(':') {
        ipv6(&host).map_err(|why| format!("invalid ipv6 address: {why}"))?;
    }
    Ok(url)
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, String> {
    Err(reason.into())
}

fn json_pointer(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Ok(());
    }
    if !text.starts_with('/') {
        return refuse("not starting with /");
    }
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '~' && !matches!(chars.next(), Some('0' | '1')) {
            return refuse("~ must be followed by 0 or 1");
        }
    }
    Ok(())
}

fn relative_json_pointer(text: &str) -> Result<(), String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match (digits, &text[digits..]) {
        (0, _) => refuse("must start with non-negative integer"),
        (2.., _) if text.starts_with('0') => refuse("starts with zero"),
        (_, "#") => Ok(()),
        (_, rest) => json_pointer(rest),
    }
}

fn uuid(text: &str) -> Result<(), String> {
    let sizes = [8, 4, 4, 4, 12];
    let groups: Vec<&str> = text.split('-').collect();
    if groups.len() != sizes.len() {
        return refuse("must have 5 elements");
    }
    for (i, (group, size)) in groups.iter().zip(sizes).enumerate() {
        if group.len() != size {
            return refuse(format!("element {} must be {size} characters long", i + 1));
        }
        if let Some(c) = group.chars().find(|c| !c.is_ascii_hexdigit()) {
            return refuse(format!("non-hex character {}", quote_char(c)));
        }
    }
    Ok(())
}

fn duration(text: &str) -> Result<(), String> {
    let Some(body) = text.strip_prefix('P') else { return refuse("must start with P") };
    if body.is_empty() {
        return refuse("nothing after P");
    }
    if let Some(weeks) = body.strip_suffix('W') {
        return match weeks {
            "" => refuse("no number in week"),
            weeks if !weeks.bytes().all(|b| b.is_ascii_digit()) => refuse("invalid week"),
            _ => Ok(()),
        };
    }
    for (i, part) in body.split('T').enumerate() {
        let all = match i {
            0 => "YMD",
            1 if part.is_empty() => return refuse("no time elements"),
            1 => "HMS",
            _ if part.is_empty() => return refuse("no time elements"),
            _ => return refuse("more than one T"),
        };
        duration_part(part, all)?;
    }
    Ok(())
}

fn duration_part(part: &str, all: &str) -> Result<(), String> {
    let (mut rest, mut units) = (part, all);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return refuse("missing number");
        }
        let mut chars = rest[digits..].chars();
        let Some(unit) = chars.next() else { return refuse("missing unit") };
        match units.find(unit) {
            Some(at) => units = &units[at + 1..],
            None if all.contains(unit) => return refuse(format!("unit {} out of order", quote_char(unit))),
            None => return refuse(format!("invalid unit {}", quote_char(unit))),
        }
        rest = chars.as_str();
    }
    Ok(())
}

fn ipv4(text: &str) -> Result<(), String> {
    let groups: Vec<&str> = text.split('.').collect();
    if groups.len() != 4 {
        return refuse("expected four decimals");
    }
    for group in groups {
        if group.len() > 1 && group.starts_with('0') {
            return refuse("leading zeros");
        }
        match group.parse::<i64>() {
            Ok(0..=255) => {}
            Ok(_) => return refuse("decimal must be between 0 and 255"),
            Err(_) => return refuse(format!("strconv.Atoi: parsing {}: invalid syntax", crate::quote::quote(group))),
        }
    }
    Ok(())
}

fn ipv6(text: &str) -> Result<(), String> {
    if !text.contains(':') {
        return refuse("missing colon");
    }
    if text.contains('%') {
        return refuse("zone id is not a part of ipv6 address");
    }
    match text.parse::<Ipv6Addr>() {
        Ok(_) => Ok(()),
        Err(_) => refuse(format!("ParseAddr({}): unable to parse IP", crate::quote::quote(text))),
    }
}

fn hostname(text: &str) -> Result<(), String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() > 253 {
        return refuse("more than 253 characters long");
    }
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 {
            return refuse("label must be 1 to 63 characters long");
        }
        if label.starts_with('-') {
            return refuse("label starts with hyphen");
        }
        if label.ends_with('-') {
            return refuse("label ends with hyphen");
        }
        if let Some(c) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
            return refuse(format!("invalid character {}", quote_char(c)));
        }
    }
    Ok(())
}

fn email(text: &str) -> Result<(), String> {
    if text.len() > 254 {
        return refuse("more than 255 characters long");
    }
    let Some((local, domain)) = text.rsplit_once('@') else { return refuse("missing @") };
    if local.len() > 64 {
        return refuse("local part more than 64 characters long");
    }
    if local.len() > 1 && local.starts_with('"') && local.ends_with('"') {
        if local[1..local.len() - 1].contains(['\\', '"']) {
            return refuse("backslash and quote are not allowed within quoted local part");
        }
    } else {
        local_part(local)?;
    }
    if let Some(address) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.strip_prefix("IPv6:") {
            Some(address) => ipv6(address).map_err(|why| format!("invalid ipv6 address: {why}")),
            None => ipv4(address).map_err(|why| format!("invalid ipv4 address: {why}")),
        };
    }
    hostname(domain).map_err(|why| format!("invalid domain: {why}"))
}

fn local_part(local: &str) -> Result<(), String> {
    if local.starts_with('.') {
        return refuse("starts with dot");
    }
    if local.ends_with('.') {
        return refuse("ends with dot");
    }
    if local.contains("..") {
        return refuse("consecutive dots");
    }
    match local.chars().find(|c| !c.is_ascii_alphanumeric() && !".!#$%&'*+-/=?^_`{|}~".contains(*c)) {
        Some(c) => refuse(format!("invalid character {}", quote_char(c))),
        None => Ok(()),
    }
}

fn date(text: &str) -> Result<(), String> {
    let quoted = quote_for_time(text.as_bytes());
    let malformed = |rest: &str, wanted: &str| {
        let rest = quote_for_time(rest.as_bytes());
        refuse(format!("parsing time {quoted} as \"2006-01-02\": cannot parse {rest} as \"{wanted}\""))
    };
    let digits = |from: usize, to: usize| text.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let rest = |from: usize| text.get(from..).unwrap_or_default();
    let Some(year) = digits(0, 4) else { return malformed(text, "2006") };
    if !rest(4).starts_with('-') {
        return malformed(rest(4), "-");
    }
    let Some(month) = digits(5, 7) else { return malformed(rest(5), "01") };
    let number = |part: &str| part.parse::<u32>().unwrap_or_default();
    let (year, month) = (number(year), number(month));
    if !(1..=12).contains(&month) {
        return refuse(format!("parsing time {quoted}: month out of range"));
    }
    if !rest(7).starts_with('-') {
        return malformed(rest(7), "-");
    }
    let Some(day) = digits(8, 10) else { return malformed(rest(8), "02") };
    if text.len() > 10 {
        return refuse(format!("parsing time {quoted}: extra text: {}", quote_for_time(rest(10).as_bytes())));
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=days).contains(&number(day)) {
        return refuse(format!("parsing time {quoted}: day out of range"));
    }
    Ok(())
}

fn time(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    if bytes.len() < 9 {
        return refuse("less than 9 characters long");
    }
    if bytes[2] != b':' || bytes[5] != b':' {
        return refuse("missing colon in correct place");
    }
    let number = |from: usize| text.get(from..from + 2).and_then(|part| part.parse::<i32>().ok());
    let (Some(hour), Some(minute), Some(second)) = (number(0), number(3), number(6)) else {
        return refuse("invalid hour/min/sec");
    };
    if hour < 0 || minute < 0 || second < 0 {
        return refuse("non-positive hour/min/sec");
    }
    if hour > 23 || minute > 59 || second > 60 {
        return refuse("hour/min/sec out of range");
    }
    let mut rest = text.get(8..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return refuse("no digits in second fraction");
        }
        rest = &fraction[digits..];
    }
    let offset = if matches!(rest, "z" | "Z") { 0 } else { time_offset(rest)? };
    let of_day = (hour * 60 + minute - offset).rem_euclid(24 * 60);
    if second >= 60 && of_day != 23 * 60 + 59 {
        return refuse("invalid leap second");
    }
    Ok(())
}

/// Reads `+hh:mm` as minutes.
fn time_offset(text: &str) -> Result<i32, String> {
    if text.len() != 6 {
        return refuse("offset must be 6 characters long");
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return refuse("offset must begin with plus/minus"),
    };
    if text.as_bytes()[3] != b':' {
        return refuse("missing colon in offset in correct place");
    }
    let number = |from: usize| text.get(from..from + 2).and_then(|part| part.parse::<i32>().ok());
    let (Some(hour), Some(minute)) = (number(1), number(4)) else { return refuse("invalid hour/min in offset") };
    if hour < 0 || minute < 0 {
        return refuse("non-positive hour/min in offset");
    }
    if hour > 23 || minute > 59 {
        return refuse("hour/min in offset out of range");
    }
    Ok(sign * (hour * 60 + minute))
}

fn date_time(text: &str) -> Result<(), String> {
    if text.len() < 20 {
        return refuse("less than 20 characters long");
    }
    if !matches!(text.as_bytes()[10], b't' | b'T') {
        return refuse("11th character must be t or T");
    }
    let (day, rest) = (text.get(..10).unwrap_or_default(), text.get(11..).unwrap_or_default());
    date(day).map_err(|why| format!("invalid date element: {why}"))?;
    time(rest).map_err(|why| format!("invalid time element: {why}"))
}
