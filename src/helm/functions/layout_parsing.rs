//! Reading a time by a Go layout, with Go's error texts.

use jiff::tz::TimeZone;

use super::clock::{Time, Zone, days_in_month, is_leap, seconds_from_civil};
use super::durations::leading_int;
use super::layouts::{Element, LONG_DAYS, LONG_MONTHS, OffsetForm, next_element};
use crate::quote::quote_for_time;

/// A value does not follow its layout; the text is Go's `*time.ParseError`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// A field that cannot be read, or one that is read and out of range.
enum Fault {
    Bad,
    Range(&'static str),
}

type Read<T> = Result<T, Fault>;

#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    pm: bool,
    am: bool,
    utc: bool,
    offset: Option<i32>,
    zone_name: Vec<u8>,
}

/// Reads a time as `time.ParseInLocation(layout, value, time.Local)`.
pub fn parse(layout: &[u8], value: &[u8], local: &TimeZone) -> Result<Time, ParseError> {
    let mut fields = Fields::default();
    let (mut layout_rest, mut rest) = (layout, value);
    loop {
        let (before, element, after) = next_element(layout_rest);
        let element_text = &layout_rest[before.len()..layout_rest.len() - after.len()];
        rest = skip(rest, before).map_err(|at| cannot_parse(layout, value, before, at))?;
        let Some(element) = element else {
            if rest.is_empty() {
                break;
            }
            return Err(refused(value, &[b": extra text: ", quote_for_time(rest).as_bytes()].concat()));
        };
        layout_rest = after;
        let held = rest;
        match fields.read(element, rest, layout_rest) {
            Ok(next) => rest = next,
            Err(Fault::Range(what)) => {
                return Err(refused(value, format!(": {what} out of range").as_bytes()));
            }
            Err(Fault::Bad) => return Err(cannot_parse(layout, value, element_text, held)),
        }
    }
    fields.finish(value, local)
}

fn cannot_parse(layout: &[u8], value: &[u8], layout_part: &[u8], value_part: &[u8]) -> ParseError {
    ParseError(format!(
        "parsing time {} as {}: cannot parse {} as {}",
        quote_for_time(value),
        quote_for_time(layout),
        quote_for_time(value_part),
        quote_for_time(layout_part)
    ))
}

fn refused(value: &[u8], message: &[u8]) -> ParseError {
    ParseError(format!("parsing time {}{}", quote_for_time(value), String::from_utf8_lossy(message)))
}

impl Fields {
    /// Reads one element off `value` and returns what is left.
    fn read<'v>(&mut self, element: Element, value: &'v [u8], layout: &[u8]) -> Read<&'v [u8]> {
        match element {
            Element::Year => {
                let (digits, rest) = split(value, 2)?;
                let year = signed(digits).ok_or(Fault::Bad)?;
                self.year = year + if year >= 69 { 1900 } else { 2000 };
                Ok(rest)
            }
            Element::LongYear => {
                if !value.first().is_some_and(u8::is_ascii_digit) {
                    return Err(Fault::Bad);
                }
                let (digits, rest) = split(value, 4)?;
                self.year = signed(digits).ok_or(Fault::Bad)?;
                Ok(rest)
            }
            Element::Month => named(value, LONG_MONTHS.iter().map(|m| &m[..3])).map(|(at, rest)| {
                self.month = Some(at + 1);
                rest
            }),
            Element::LongMonth => named(value, LONG_MONTHS.into_iter()).map(|(at, rest)| {
                self.month = Some(at + 1);
                rest
            }),
            Element::Weekday => named(value, LONG_DAYS.iter().map(|d| &d[..3])).map(|(_, rest)| rest),
            Element::LongWeekday => named(value, LONG_DAYS.into_iter()).map(|(_, rest)| rest),
            Element::NumMonth | Element::ZeroMonth => {
                let (month, rest) = two_digits(value, element == Element::ZeroMonth)?;
                self.month = Some(month);
                within((1..=12).contains(&month), "month", rest)
            }
            Element::Day | Element::UnderDay | Element::ZeroDay => {
                let value = match element {
                    Element::UnderDay => value.strip_prefix(b" ").unwrap_or(value),
                    _ => value,
                };
                let (day, rest) = two_digits(value, element == Element::ZeroDay)?;
                self.day = Some(day);
                Ok(rest)
            }
            Element::UnderYearDay | Element::ZeroYearDay => self.read_year_day(element, value),
            Element::Hour => {
                let (hour, rest) = two_digits(value, false)?;
                self.hour = hour;
                within(hour < 24, "hour", rest)
            }
            Element::Hour12 | Element::ZeroHour12 => {
                let (hour, rest) = two_digits(value, element == Element::ZeroHour12)?;
                self.hour = hour;
                within(hour <= 12, "hour", rest)
            }
            Element::Minute | Element::ZeroMinute => {
                let (minute, rest) = two_digits(value, element == Element::ZeroMinute)?;
                self.minute = minute;
                within(minute < 60, "minute", rest)
            }
            Element::Second | Element::ZeroSecond => self.read_second(element, value, layout),
            Element::UpperPm | Element::LowerPm => {
                let (word, rest) = split(value, 2)?;
                let (pm, am): (&[u8], &[u8]) = match element {
                    Element::UpperPm => (b"PM", b"AM"),
                    _ => (b"pm", b"am"),
                };
                if word == pm {
                    self.pm = true;
                } else if word == am {
                    self.am = true;
                } else {
                    return Err(Fault::Bad);
                }
                Ok(rest)
            }
            Element::Offset(form) => self.read_offset(form, value),
            Element::ZoneName => {
                if let Some(rest) = value.strip_prefix(b"UTC") {
                    self.utc = true;
                    return Ok(rest);
                }
                let len = zone_name_len(value).ok_or(Fault::Bad)?;
                self.zone_name = value[..len].to_vec();
                Ok(&value[len..])
            }
            Element::Fraction { digits, trim, .. } => self.read_fraction(value, digits, trim),
        }
    }

    fn read_year_day<'v>(&mut self, element: Element, value: &'v [u8]) -> Read<&'v [u8]> {
        let fixed = element == Element::ZeroYearDay;
        let mut value = value;
        if !fixed {
            for _ in 0..2 {
                value = value.strip_prefix(b" ").unwrap_or(value);
            }
        }
        let digits = value.iter().take(3).take_while(|c| c.is_ascii_digit()).count();
        if digits == 0 || (fixed && digits != 3) {
            return Err(Fault::Bad);
        }
        self.year_day = Some(number(&value[..digits]));
        Ok(&value[digits..])
    }

    fn read_second<'v>(&mut self, element: Element, value: &'v [u8], layout: &[u8]) -> Read<&'v [u8]> {
        let (second, rest) = two_digits(value, element == Element::ZeroSecond)?;
        self.second = second;
        if second >= 60 {
            return Err(Fault::Range("second"));
        }
        // A fraction is taken though the layout has none.
        let fraction_follows =
            rest.first().is_some_and(|c| matches!(c, b'.' | b',')) && rest.get(1).is_some_and(u8::is_ascii_digit);
        if !fraction_follows || matches!(next_element(layout).1, Some(Element::Fraction { .. })) {
            return Ok(rest);
        }
        let len = 1 + rest[1..].iter().take_while(|c| c.is_ascii_digit()).count();
        self.nanos = nanoseconds(&rest[..len])?;
        Ok(&rest[len..])
    }

    fn read_fraction<'v>(&mut self, value: &'v [u8], digits: usize, trim: bool) -> Read<&'v [u8]> {
        let len = if trim {
            let starts =
                value.first().is_some_and(|c| matches!(c, b'.' | b',')) && value.get(1).is_some_and(u8::is_ascii_digit);
            if !starts {
                return Ok(value);
            }
            1 + value[1..].iter().take_while(|c| c.is_ascii_digit()).count()
        } else {
            digits + 1
        };
        let (text, rest) = split(value, len)?;
        self.nanos = nanoseconds(text)?;
        Ok(rest)
    }

    fn read_offset<'v>(&mut self, form: OffsetForm, value: &'v [u8]) -> Read<&'v [u8]> {
        if form.z && value.first() == Some(&b'Z') {
            self.utc = true;
            return Ok(&value[1..]);
        }
        let colon = usize::from(form.colon);
        let parts = 1 + usize::from(form.minutes) + usize::from(form.seconds);
        let (text, rest) = split(value, 1 + 2 * parts + colon * (parts - 1))?;
        let mut numbers = [0u32; 3];
        for part in 0..parts {
            let at = 1 + part * (2 + colon);
            if form.colon && part > 0 && text[at - 1] != b':' {
                return Err(Fault::Bad);
            }
            numbers[part] = match two_digits(&text[at..at + 2], true) {
                Ok((number, _)) => number,
                // The parts that were read before are still held against their ranges first.
                Err(_) => return Err(offset_range(&numbers).unwrap_or(Fault::Bad)),
            };
        }
        if let Some(fault) = offset_range(&numbers) {
            return Err(fault);
        }
        let seconds = ((numbers[0] * 60 + numbers[1]) * 60 + numbers[2]) as i32;
        self.offset = Some(match text[0] {
            b'+' => seconds,
            b'-' => -seconds,
            _ => return Err(Fault::Bad),
        });
        Ok(rest)
    }

    fn finish(mut self, value: &[u8], local: &TimeZone) -> Result<Time, ParseError> {
        if self.pm && self.hour < 12 {
            self.hour += 12;
        } else if self.am && self.hour == 12 {
            self.hour = 0;
        }
        let (month, day) = match self.year_day {
            Some(year_day) => self.day_of_year(year_day, value)?,
            None => (self.month.unwrap_or(1), self.day.unwrap_or(1)),
        };
        if day < 1 || day > days_in_month(month, self.year) {
            return Err(refused(value, b": day out of range"));
        }
        let seconds = seconds_from_civil(
            self.year,
            i64::from(month),
            i64::from(day),
            i64::from(self.hour),
            i64::from(self.minute),
            i64::from(self.second),
        );
        Ok(self.place(seconds, local))
    }

    fn day_of_year(&self, year_day: u32, value: &[u8]) -> Result<(u32, u32), ParseError> {
        let last = if is_leap(self.year) { 366 } else { 365 };
        if year_day < 1 || year_day > last {
            return Err(refused(value, b": day-of-year out of range"));
        }
        let (mut month, mut day) = (1, year_day);
        while day > days_in_month(month, self.year) {
            day -= days_in_month(month, self.year);
            month += 1;
        }
        if self.month.is_some_and(|m| m != month) {
            return Err(refused(value, b": day-of-year does not match month"));
        }
        if self.day.is_some_and(|d| d != day) {
            return Err(refused(value, b": day-of-year does not match day"));
        }
        Ok((month, day))
    }

    /// Puts clock time into its zone: one that was named, or the local one.
    fn place(self, seconds: i64, local: &TimeZone) -> Time {
        if self.utc {
            return Time::from_unix(seconds, self.nanos, Zone::Utc);
        }
        let local = Zone::Local(local.clone());
        let name = String::from_utf8_lossy(&self.zone_name).into_owned();
        // Go marks "no offset" with -1, so an offset of minus one second is none.
        if let Some(offset) = self.offset.filter(|o| *o != -1) {
            let seconds = seconds - i64::from(offset);
            let (local_name, local_offset) = local.at(seconds);
            let zone = if offset == local_offset && (name.is_empty() || *name == *local_name) {
                local
            } else {
                fixed(name, offset)
            };
            return Time::from_unix(seconds, self.nanos, zone);
        }
        if name.is_empty() {
            let offset = i64::from(local.offset_of_clock(seconds));
            return Time::from_unix(seconds - offset, self.nanos, local);
        }
        if let Some(offset) = local.offset_of_name(&name, seconds) {
            return Time::from_unix(seconds - i64::from(offset), self.nanos, local);
        }
        // An unknown abbreviation counts as UTC; GMT+3 says its offset, but the clock is still taken for UTC's.
        let offset =
            name.strip_prefix("GMT").and_then(|hours| signed(hours.as_bytes())).map_or(0, |hours| hours as i32 * 3600);
        Time::from_unix(seconds, self.nanos, fixed(name, offset))
    }
}

fn fixed(name: String, offset: i32) -> Zone {
    Zone::Fixed { name: name.into(), offset }
}

fn offset_range(numbers: &[u32; 3]) -> Option<Fault> {
    let [hours, minutes, seconds] = *numbers;
    if seconds > 60 {
        Some(Fault::Range("time zone offset second"))
    } else if minutes > 60 {
        Some(Fault::Range("time zone offset minute"))
    } else if hours > 24 {
        Some(Fault::Range("time zone offset hour"))
    } else {
        None
    }
}

fn within<'v>(holds: bool, what: &'static str, rest: &'v [u8]) -> Read<&'v [u8]> {
    if holds { Ok(rest) } else { Err(Fault::Range(what)) }
}

fn split(value: &[u8], len: usize) -> Read<(&[u8], &[u8])> {
    value.split_at_checked(len).ok_or(Fault::Bad)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |n, c| n * 10 + u32::from(c - b'0'))
}

/// Go's `atoi` of package time: an optional sign and digits; no digits are 0.
fn signed(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (number, rest) = leading_int(digits)?;
    if !rest.is_empty() {
        return None;
    }
    let number = number as i64;
    Some(if negative { -number } else { number })
}

fn two_digits(value: &[u8], fixed: bool) -> Read<(u32, &[u8])> {
    let digits = value.iter().take(2).take_while(|c| c.is_ascii_digit()).count();
    if digits == 0 || (fixed && digits != 2) {
        return Err(Fault::Bad);
    }
    Ok((number(&value[..digits]), &value[digits..]))
}

/// Finds a name without regard to ASCII case.
fn named<'v, 'n>(value: &'v [u8], names: impl Iterator<Item = &'n str>) -> Read<(u32, &'v [u8])> {
    for (at, name) in (0..).zip(names) {
        if value.len() >= name.len() && value[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            return Ok((at, &value[name.len()..]));
        }
    }
    Err(Fault::Bad)
}

/// Takes literal text off a value; a run of spaces stands for any number of them. The error is where it stopped.
fn skip<'v>(mut value: &'v [u8], mut prefix: &[u8]) -> Result<&'v [u8], &'v [u8]> {
    let spaces = |text: &[u8]| text.iter().take_while(|c| **c == b' ').count();
    while let Some(first) = prefix.first() {
        if *first == b' ' {
            if value.first().is_some_and(|c| *c != b' ') {
                return Err(value);
            }
            prefix = &prefix[spaces(prefix)..];
            value = &value[spaces(value)..];
            continue;
        }
        if value.first() != Some(first) {
            return Err(value);
        }
        prefix = &prefix[1..];
        value = &value[1..];
    }
    Ok(value)
}

fn nanoseconds(text: &[u8]) -> Read<u32> {
    if !matches!(text[0], b'.' | b',') {
        return Err(Fault::Bad);
    }
    let digits = &text[1..text.len().min(10)];
    let number = signed(digits).ok_or(Fault::Bad)?;
    if number < 0 {
        return Err(Fault::Range("fractional second"));
    }
    Ok(number as u32 * 10u32.pow(9 - digits.len() as u32))
}

/// Returns how many bytes of a value are a zone abbreviation.
fn zone_name_len(value: &[u8]) -> Option<usize> {
    if value.len() < 3 {
        return None;
    }
    if value.starts_with(b"ChST") || value.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = value.strip_prefix(b"GMT") {
        return Some(3 + signed_offset_len(rest).unwrap_or(0));
    }
    if matches!(value[0], b'+' | b'-') {
        return signed_offset_len(value);
    }
    match value.iter().take(6).take_while(|c| c.is_ascii_uppercase()).count() {
        5 if value[4] == b'T' => Some(5),
        4 if value[3] == b'T' || value.starts_with(b"WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// Returns the length of a sign and hours up to 23.
fn signed_offset_len(value: &[u8]) -> Option<usize> {
    if !matches!(value.first(), Some(b'+' | b'-')) {
        return None;
    }
    let (hours, rest) = leading_int(&value[1..])?;
    let len = value.len() - rest.len();
    (len > 1 && hours <= 23).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::super::layouts::display;
    use super::*;

    #[test]
    fn values_are_read_by_their_layout() {
        for (layout, value, want) in [
            ("2006-01-02", "2020-02-03", "2020-02-03 00:00:00 +0000 UTC"),
            ("Jan 2, 2006 at 3:04pm (MST)", "Feb 3, 2013 at 7:54pm (PST)", "2013-02-03 19:54:00 +0000 PST"),
            ("2006-01-02T15:04:05Z07:00", "2024-02-29T12:34:56+02:00", "2024-02-29 12:34:56 +0200 +0200"),
            ("2006-002", "2020-060", "2020-02-29 00:00:00 +0000 UTC"),
            ("Mon Jan _2 15:04:05 2006", "tue FEB  4 05:06:07.5 2020", "2020-02-04 05:06:07.5 +0000 UTC"),
            ("06 MST", "68 GMT+3", "2068-01-01 03:00:00 +0300 GMT+3"),
        ] {
            let time = parse(layout.as_bytes(), value.as_bytes(), &TimeZone::UTC).expect(value);
            assert_eq!(display(&time), want);
        }
    }

    #[test]
    fn refused_values_are_told_as_go_tells_them() {
        for (layout, value, want) in [
            ("2006-01-02", "bad", r#"parsing time "bad" as "2006-01-02": cannot parse "bad" as "2006""#),
            ("2006-01-02", "2020-02-30", r#"parsing time "2020-02-30": day out of range"#),
            ("2006-01-02", "2020-02-03x", r#"parsing time "2020-02-03x": extra text: "x""#),
            ("15:04", "25:00", r#"parsing time "25:00": hour out of range"#),
            ("2006-01-02", "2020/02", r#"parsing time "2020/02" as "2006-01-02": cannot parse "/02" as "-""#),
            ("2006-002", "2021-366", r#"parsing time "2021-366": day-of-year out of range"#),
        ] {
            let error = parse(layout.as_bytes(), value.as_bytes(), &TimeZone::UTC).expect_err(value);
            assert_eq!(error.to_string(), want);
        }
    }
}
