//! Go's time layouts: what `2006-01-02` means when a time is printed.

use super::clock::{Civil, Time};

/// The layout that `time.Time` prints itself with.
pub const STRING_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";
/// RFC 3339 with nanoseconds, as Go's JSON encoding prints a time.
pub const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

pub(super) const LONG_DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const LONG_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// One element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    Offset(OffsetForm),
    /// Fractional seconds: `.000` keeps trailing zeros, `.999` drops them.
    Fraction {
        digits: usize,
        separator: u8,
        trim: bool,
    },
}

/// The ways to write an offset: `Z` for zero or not, and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffsetForm {
    pub z: bool,
    pub minutes: bool,
    pub seconds: bool,
    pub colon: bool,
}

const OFFSETS: [(&[u8], OffsetForm); 5] = {
    const fn form(minutes: bool, seconds: bool, colon: bool) -> OffsetForm {
        OffsetForm { z: false, minutes, seconds, colon }
    }
    [
        (b"070000", form(true, true, false)),
        (b"07:00:00", form(true, true, true)),
        (b"0700", form(true, false, false)),
        (b"07:00", form(true, false, true)),
        (b"07", form(false, false, false)),
    ]
};

/// Splits a layout at its first element: text before it, the element, what follows.
pub(super) fn next_element(layout: &[u8]) -> (&[u8], Option<Element>, &[u8]) {
    for at in 0..layout.len() {
        let rest = &layout[at..];
        if let Some((element, skip, len)) = element_at(rest) {
            return (&layout[..at + skip], Some(element), &layout[at + len..]);
        }
    }
    (layout, None, b"")
}

/// Recognises an element at the start of `rest`: the element, how many leading bytes are literal, and its whole length.
fn element_at(rest: &[u8]) -> Option<(Element, usize, usize)> {
    let lower_at = |at: usize| rest.get(at).is_some_and(u8::is_ascii_lowercase);
    let plain = |element, len| Some((element, 0, len));
    match rest[0] {
        b'J' if rest.starts_with(b"January") => plain(Element::LongMonth, 7),
        b'J' if rest.starts_with(b"Jan") && !lower_at(3) => plain(Element::Month, 3),
        b'M' if rest.starts_with(b"Monday") => plain(Element::LongWeekday, 6),
        b'M' if rest.starts_with(b"Mon") && !lower_at(3) => plain(Element::Weekday, 3),
        b'M' if rest.starts_with(b"MST") => plain(Element::ZoneName, 3),
        b'0' => match rest.get(1) {
            Some(b'1') => plain(Element::ZeroMonth, 2),
            Some(b'2') => plain(Element::ZeroDay, 2),
            Some(b'3') => plain(Element::ZeroHour12, 2),
            Some(b'4') => plain(Element::ZeroMinute, 2),
            Some(b'5') => plain(Element::ZeroSecond, 2),
            Some(b'6') => plain(Element::Year, 2),
            Some(b'0') if rest.get(2) == Some(&b'2') => plain(Element::ZeroYearDay, 3),
            _ => None,
        },
        b'1' if rest.get(1) == Some(&b'5') => plain(Element::Hour, 2),
        b'1' => plain(Element::NumMonth, 1),
        b'2' if rest.starts_with(b"2006") => plain(Element::LongYear, 4),
        b'2' => plain(Element::Day, 1),
        // In "_2006" the underscore is text before a long year.
        b'_' if rest.starts_with(b"_2006") => Some((Element::LongYear, 1, 5)),
        b'_' if rest.starts_with(b"_2") => plain(Element::UnderDay, 2),
        b'_' if rest.starts_with(b"__2") => plain(Element::UnderYearDay, 3),
        b'3' => plain(Element::Hour12, 1),
        b'4' => plain(Element::Minute, 1),
        b'5' => plain(Element::Second, 1),
        b'P' if rest.get(1) == Some(&b'M') => plain(Element::UpperPm, 2),
        b'p' if rest.get(1) == Some(&b'm') => plain(Element::LowerPm, 2),
        b'-' | b'Z' => OFFSETS.iter().find(|(text, _)| rest[1..].starts_with(text)).map(|(text, form)| {
            let form = OffsetForm { z: rest[0] == b'Z', ..*form };
            (Element::Offset(form), 0, text.len() + 1)
        }),
        b'.' | b',' => fraction_at(rest),
        _ => None,
    }
}

fn fraction_at(rest: &[u8]) -> Option<(Element, usize, usize)> {
    let digit = *rest.get(1).filter(|c| matches!(c, b'0' | b'9'))?;
    let digits = rest[1..].iter().take_while(|c| **c == digit).count();
    // A run that goes on with other digits is text.
    if rest.get(1 + digits).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let element = Element::Fraction { digits, separator: rest[0], trim: digit == b'9' };
    Some((element, 0, digits + 1))
}

/// Prints a time by a layout, as `Time.Format`.
pub fn format(time: &Time, layout: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(layout.len() + 10);
    let civil = time.civil();
    let mut rest = layout;
    loop {
        let (before, element, after) = next_element(rest);
        out.extend_from_slice(before);
        let Some(element) = element else {
            return out;
        };
        put_element(&mut out, element, &civil, time);
        rest = after;
    }
}

/// Prints a time as `Time.String`, the monotonic clock's reading included.
pub fn display(time: &Time) -> String {
    let text = String::from_utf8_lossy(&format(time, STRING_LAYOUT.as_bytes())).into_owned();
    if let Some(reading) = time.monotonic {
        let sign = if reading < 0 { '-' } else { '+' };
        let nanos = reading.unsigned_abs();
        return format!("{text} m={sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    }
    text
}

fn put_element(out: &mut Vec<u8>, element: Element, civil: &Civil, time: &Time) {
    let hour12 = match civil.hour % 12 {
        0 => 12,
        hour => hour,
    };
    let month = LONG_MONTHS[civil.month as usize - 1];
    let weekday = LONG_DAYS[civil.weekday as usize];
    let pm = civil.hour >= 12;
    match element {
        Element::LongMonth => out.extend_from_slice(month.as_bytes()),
        Element::Month => out.extend_from_slice(&month.as_bytes()[..3]),
        Element::NumMonth => put_number(out, i64::from(civil.month), 0),
        Element::ZeroMonth => put_number(out, i64::from(civil.month), 2),
        Element::LongWeekday => out.extend_from_slice(weekday.as_bytes()),
        Element::Weekday => out.extend_from_slice(&weekday.as_bytes()[..3]),
        Element::Day => put_number(out, i64::from(civil.day), 0),
        Element::UnderDay => out.extend_from_slice(format!("{:2}", civil.day).as_bytes()),
        Element::ZeroDay => put_number(out, i64::from(civil.day), 2),
        Element::UnderYearDay => out.extend_from_slice(format!("{:3}", civil.year_day).as_bytes()),
        Element::ZeroYearDay => put_number(out, i64::from(civil.year_day), 3),
        Element::Hour => put_number(out, i64::from(civil.hour), 2),
        Element::Hour12 => put_number(out, i64::from(hour12), 0),
        Element::ZeroHour12 => put_number(out, i64::from(hour12), 2),
        Element::Minute => put_number(out, i64::from(civil.minute), 0),
        Element::ZeroMinute => put_number(out, i64::from(civil.minute), 2),
        Element::Second => put_number(out, i64::from(civil.second), 0),
        Element::ZeroSecond => put_number(out, i64::from(civil.second), 2),
        Element::LongYear => put_number(out, civil.year, 4),
        Element::Year => put_number(out, civil.year.abs() % 100, 2),
        Element::UpperPm => out.extend_from_slice(if pm { b"PM" } else { b"AM" }),
        Element::LowerPm => out.extend_from_slice(if pm { b"pm" } else { b"am" }),
        Element::ZoneName => put_zone_name(out, time),
        Element::Offset(form) => put_offset(out, form, time.zone_info().1),
        Element::Fraction { digits, separator, trim } => put_fraction(out, time.nanos, digits, separator, trim),
    }
}

/// Appends a number with leading zeros up to `width` digits; a sign is not counted.
fn put_number(out: &mut Vec<u8>, number: i64, width: usize) {
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(format!("{:0width$}", number.unsigned_abs()).as_bytes());
}

fn put_zone_name(out: &mut Vec<u8>, time: &Time) {
    let (name, offset) = time.zone_info();
    if name.is_empty() {
        let form = OffsetForm { z: false, minutes: true, seconds: false, colon: false };
        put_offset(out, form, offset);
    } else {
        out.extend_from_slice(name.as_bytes());
    }
}

fn put_offset(out: &mut Vec<u8>, form: OffsetForm, offset: i32) {
    if form.z && offset == 0 {
        out.push(b'Z');
        return;
    }
    // The sign is that of whole minutes: -30 seconds print as "+00:00".
    let minutes = offset / 60;
    out.push(if minutes < 0 { b'-' } else { b'+' });
    let minutes = i64::from(minutes.abs());
    put_number(out, minutes / 60, 2);
    if form.minutes {
        if form.colon {
            out.push(b':');
        }
        put_number(out, minutes % 60, 2);
    }
    if form.seconds {
        if form.colon {
            out.push(b':');
        }
        put_number(out, i64::from(offset.abs() % 60), 2);
    }
}

fn put_fraction(out: &mut Vec<u8>, nanos: u32, digits: usize, separator: u8, trim: bool) {
    if trim && nanos == 0 {
        return;
    }
    let all = format!("{nanos:09}");
    let mut shown = &all[..digits.min(9)];
    if trim {
        shown = shown.trim_end_matches('0');
        if shown.is_empty() {
            return;
        }
    }
    out.push(separator);
    out.extend_from_slice(shown.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::clock::Zone;
    use super::*;

    fn shown(layout: &str) -> String {
        // 2024-02-05T03:04:05.12Z, a Monday.
        let time = Time::from_unix(1_707_102_245, 120_000_000, Zone::Utc);
        String::from_utf8(format(&time, layout.as_bytes())).expect("layouts here are text")
    }

    #[test]
    fn every_element_prints_as_in_go() {
        for (layout, want) in [
            ("2006-01-02T15:04:05.999999999Z07:00", "2024-02-05T03:04:05.12Z"),
            ("_2 __2 002", " 5  36 036"),
            (".0 .00 .9 .999999 .000000000", ".1 .12 .1 .12 .120000000"),
            ("3PM 3pm 03:4:5", "3AM 3am 03:4:5"),
            ("Mon Monday Jan January 06 1 2", "Mon Monday Feb February 24 2 5"),
            ("Januaryx Mondayx Janx Monx", "Februaryx Mondayx Janx Monx"),
            ("_2006 .0001", "_2024 .0002"),
            ("-07 -0700 -07:00 -070000 -07:00:00 Z07 Z0700", "+00 +0000 +00:00 +000000 +00:00:00 Z Z"),
            ("MST", "UTC"),
        ] {
            assert_eq!(shown(layout), want, "{layout}");
        }
    }

    #[test]
    fn a_nameless_zone_prints_its_offset() {
        let zone = Zone::Fixed { name: "".into(), offset: -(3 * 3600 + 1800) };
        let time = Time::from_unix(0, 0, zone);
        assert_eq!(display(&time), "1969-12-31 20:30:00 -0330 -0330");
    }

    #[test]
    fn a_clock_reading_is_shown() {
        let mut time = Time::zero();
        time.monotonic = Some(1_500_000_000);
        assert_eq!(display(&time), "0001-01-01 00:00:00 +0000 UTC m=+1.500000000");
    }
}
