//! Dates and durations. Dates are shown in the render's zone unless another is named.

use super::arguments::text;
use super::cast::truncated;
use super::clock::{Time, Zone};
use super::numbers::decimal;
use super::strconv::parse_float;
use super::strings::trim_space;
use super::times::Duration;
use super::{Call, Failure, Function, Type, durations, layout_parsing, layouts};
use crate::value::quote::quoted as quote;
use crate::value::{Kind, Value};

type Result<T = Value> = std::result::Result<T, Failure>;

const SECOND: i64 = 1_000_000_000;
const DATE_LAYOUT: &[u8] = b"2006-01-02";

const ANY: Type = Type::Any;
const STR: Type = Type::String;
const TIME: Type = Type::Object("time.Time");

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("now", &[], |call, _| Ok(Value::object(now(call)))),
    Function::new("date", &[STR, ANY], |call, a| Ok(shown(call, text(a, 0), &a[1], b"Local"))),
    Function::new("dateInZone", &[STR, ANY, STR], |call, a| Ok(shown(call, text(a, 0), &a[1], text(a, 2)))),
    Function::new("date_in_zone", &[STR, ANY, STR], |call, a| Ok(shown(call, text(a, 0), &a[1], text(a, 2)))),
    Function::new("htmlDate", &[ANY], |call, a| Ok(shown(call, DATE_LAYOUT, &a[0], b"Local"))),
    Function::new("htmlDateInZone", &[ANY, STR], |call, a| Ok(shown(call, DATE_LAYOUT, &a[0], text(a, 1)))),
    Function::new("dateModify", &[STR, TIME], |_, a| Ok(moved(a).unwrap_or_else(|_| a[1].clone()))),
    Function::new("date_modify", &[STR, TIME], |_, a| Ok(moved(a).unwrap_or_else(|_| a[1].clone()))),
    Function::new("mustDateModify", &[STR, TIME], |_, a| moved(a)),
    Function::new("must_date_modify", &[STR, TIME], |_, a| moved(a)),
    Function::new("toDate", &[STR, STR], |call, a| Ok(read(call, a).unwrap_or_else(|_| Value::object(Time::zero())))),
    Function::new("mustToDate", &[STR, STR], read),
    Function::new("unixEpoch", &[TIME], unix_epoch),
    Function::new("ago", &[ANY], ago),
    Function::new("duration", &[ANY], duration),
    Function::new("durationRound", &[ANY], coarse),
    Function::new("mustToDuration", &[ANY], |_, a| Ok(Value::object(Duration(as_duration(&a[0])?)))),
    Function::new("durationSeconds", &[ANY], |_, a| Ok(float(a, durations::seconds))),
    Function::new("durationMinutes", &[ANY], |_, a| Ok(float(a, durations::minutes))),
    Function::new("durationHours", &[ANY], |_, a| Ok(float(a, durations::hours))),
    Function::new("durationDays", &[ANY], |_, a| Ok(float(a, |nanos| durations::hours(nanos) / 24.0))),
    Function::new("durationWeeks", &[ANY], |_, a| Ok(float(a, |nanos| durations::hours(nanos) / 24.0 / 7.0))),
    Function::new("durationMilliseconds", &[ANY], |_, a| Ok(whole(a, 1_000_000))),
    Function::new("durationMicroseconds", &[ANY], |_, a| Ok(whole(a, 1000))),
    Function::new("durationNanoseconds", &[ANY], |_, a| Ok(whole(a, 1))),
    Function::new("durationRoundTo", &[ANY, ANY], |_, a| Ok(to_multiple(a, durations::round))),
    Function::new("durationTruncateTo", &[ANY, ANY], |_, a| Ok(to_multiple(a, durations::truncate))),
];

fn now(call: &Call<'_>) -> Time {
    let now = call.env.now;
    let nanos = now.as_nanosecond();
    Time {
        seconds: nanos.div_euclid(i128::from(SECOND)) as i64,
        nanos: nanos.rem_euclid(i128::from(SECOND)) as u32,
        zone: Zone::Local(call.env.time_zone.clone()),
        monotonic: Some(0),
    }
}

/// Takes a date, or an integer as Unix seconds.
fn instant(call: &Call<'_>, value: &Value) -> Option<Time> {
    match value {
        Value::Int(seconds) | Value::Int64(seconds) => {
            Some(Time::from_unix(*seconds, 0, Zone::Local(call.env.time_zone.clone())))
        }
        other => other.downcast::<Time>().cloned(),
    }
}

/// Prints a date in a zone; what is no date is now, and an unknown zone is UTC.
fn shown(call: &Call<'_>, layout: &[u8], value: &Value, zone: &[u8]) -> Value {
    let time = instant(call, value).unwrap_or_else(|| now(call));
    let zone = std::str::from_utf8(zone).ok().and_then(|name| Zone::load(name, &call.env.time_zone));
    layouts::format(&time.in_zone(zone.unwrap_or(Zone::Utc)), layout).into()
}

fn time(a: &[Value], at: usize) -> Time {
    a[at].downcast::<Time>().cloned().unwrap_or_else(Time::zero)
}

fn moved(a: &[Value]) -> Result {
    let nanos = durations::parse(text(a, 0)).map_err(|error| Failure::message(error.to_string()))?;
    Ok(Value::object(time(a, 1).add(nanos)))
}

fn read(call: &mut Call<'_>, a: &[Value]) -> Result {
    let read = layout_parsing::parse(text(a, 0), text(a, 1), &call.env.time_zone);
    read.map(Value::object).map_err(|error| Failure::message(error.to_string()))
}

fn unix_epoch(_: &mut Call<'_>, a: &[Value]) -> Result {
    Ok(time(a, 0).seconds.to_string().into())
}

fn ago(call: &mut Call<'_>, a: &[Value]) -> Result {
    let now = now(call);
    let then = instant(call, &a[0]).unwrap_or_else(|| now.clone());
    Ok(durations::display(durations::round(now.since(&then), SECOND)).into())
}

/// Prints seconds as a duration. Only a text and an int64 count, anything else is 0: so it is in sprig.
fn duration(_: &mut Call<'_>, a: &[Value]) -> Result {
    let seconds = match &a[0] {
        Value::Str(text) => decimal(text),
        Value::Int64(seconds) => *seconds,
        _ => 0,
    };
    Ok(durations::display(seconds.wrapping_mul(SECOND)).into())
}

fn coarse(call: &mut Call<'_>, a: &[Value]) -> Result {
    let nanos = match &a[0] {
        Value::Str(text) => durations::parse(text).unwrap_or(0),
        Value::Int64(nanos) => *nanos,
        other => other.downcast::<Time>().map_or(0, |then| now(call).since(then)),
    };
    Ok(durations::coarse(nanos).into())
}

/// Takes a duration, its text, or a number of seconds.
fn as_duration(value: &Value) -> Result<i64> {
    if let Some(Duration(nanos)) = value.downcast::<Duration>() {
        return Ok(*nanos);
    }
    match value {
        Value::Nil => Err(Failure::message("invalid duration")),
        Value::Str(given) => {
            let text = trim_space(given);
            if text.is_empty() {
                return Err(Failure::message("empty duration"));
            }
            if let Ok(nanos) = durations::parse(text) {
                return Ok(nanos);
            }
            match parse_float(text) {
                Ok(seconds) => from_float(seconds),
                Err(_) => Err(Failure::message(format!("could not parse duration {}", quote(given)))),
            }
        }
        Value::Int(seconds) | Value::Int64(seconds) => from_int(i128::from(*seconds)),
        Value::Uint8(seconds) => from_int(i128::from(*seconds)),
        Value::Uint64(seconds) => from_int(i128::from(*seconds)),
        Value::Float(seconds) => from_float(*seconds),
        Value::Obj(object) if matches!(object.kind(), Kind::Int | Kind::Int64 | Kind::Float64) => {
            as_duration(&object.underlying().unwrap_or_default())
        }
        other => Err(Failure::message(format!("unsupported duration type {}", other.type_name()))),
    }
}

fn from_int(seconds: i128) -> Result<i64> {
    // Whole seconds are held against whole seconds, so the last fraction of the range is not reached.
    if seconds > i128::from(i64::MAX / SECOND) || seconds < i128::from(i64::MIN / SECOND) {
        return Err(Failure::message(format!("duration seconds overflow: {seconds}")));
    }
    Ok(seconds as i64 * SECOND)
}

fn from_float(seconds: f64) -> Result<i64> {
    let shown = || Value::Float(seconds).to_text();
    if !seconds.is_finite() {
        return Err(Failure::message(format!("invalid duration seconds: {}", shown()?)));
    }
    let nanos = seconds * SECOND as f64;
    if seconds > i64::MAX as f64 / SECOND as f64 || seconds < i64::MIN as f64 / SECOND as f64 {
        return Err(Failure::message(format!("duration seconds overflow: {}", shown()?)));
    }
    Ok(truncated(nanos))
}

fn float(a: &[Value], unit: fn(i64) -> f64) -> Value {
    Value::Float(as_duration(&a[0]).map_or(0.0, unit))
}

fn whole(a: &[Value], unit: i64) -> Value {
    Value::Int64(as_duration(&a[0]).map_or(0, |nanos| nanos / unit))
}

fn to_multiple(a: &[Value], change: fn(i64, i64) -> i64) -> Value {
    let nanos = match (as_duration(&a[0]), as_duration(&a[1])) {
        (Err(_), _) => 0,
        (Ok(nanos), Err(_)) => nanos,
        (Ok(nanos), Ok(unit)) => change(nanos, unit),
    };
    Value::object(Duration(nanos))
}
