//! `time.Time`, `time.Duration`, `time.Month` and `time.Weekday` as values with methods.

use jiff::tz::TimeZone;

use super::arguments::{int, text};
use super::clock::{Time, Zone, seconds_from_civil};
use super::{Failure, Type, durations, layouts};
use crate::quote::quote_for_time;
use crate::value::{Kind, Member, Method, Object, Str, Value};

/// `time.Duration`, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub i64);

/// `time.Month`, 1 to 12.
struct Month(i64);

/// `time.Weekday`, 0 for Sunday.
struct Weekday(i64);

/// `*time.Location`.
struct Location(Zone);

const TIME: Type = Type::Object("time.Time");
const DURATION: Type = Type::Object("time.Duration");

const fn method(name: &'static str, params: &'static [Type]) -> Method {
    Method { name, params, variadic: None }
}

const TIME_METHODS: &[Method] = &[
    method("Add", &[DURATION]),
    method("AddDate", &[Type::Int, Type::Int, Type::Int]),
    method("After", &[TIME]),
    method("Before", &[TIME]),
    method("Compare", &[TIME]),
    method("Day", &[]),
    method("Equal", &[TIME]),
    method("Format", &[Type::String]),
    method("GoString", &[]),
    method("Hour", &[]),
    method("In", &[Type::Object("*time.Location")]),
    method("IsDST", &[]),
    method("IsZero", &[]),
    method("Local", &[]),
    method("Location", &[]),
    method("MarshalJSON", &[]),
    method("MarshalText", &[]),
    method("Minute", &[]),
    method("Month", &[]),
    method("Nanosecond", &[]),
    method("Round", &[DURATION]),
    method("Second", &[]),
    method("String", &[]),
    method("Sub", &[TIME]),
    method("Truncate", &[DURATION]),
    method("UTC", &[]),
    method("Unix", &[]),
    method("UnixMicro", &[]),
    method("UnixMilli", &[]),
    method("UnixNano", &[]),
    method("Weekday", &[]),
    method("Year", &[]),
    method("YearDay", &[]),
];

/// Methods with results that templates cannot take.
const REFUSED: &[(Method, &str)] = &[
    (method("Clock", &[]), "function Clock has 3 return values; should be 1 or 2"),
    (method("Date", &[]), "function Date has 3 return values; should be 1 or 2"),
    (method("ISOWeek", &[]), "invalid function signature for ISOWeek: second return value should be error; is int"),
    (method("Zone", &[]), "invalid function signature for Zone: second return value should be error; is int"),
    (
        method("ZoneBounds", &[]),
        "invalid function signature for ZoneBounds: second return value should be error; is time.Time",
    ),
];

const DURATION_METHODS: &[Method] = &[
    method("Abs", &[]),
    method("Hours", &[]),
    method("Microseconds", &[]),
    method("Milliseconds", &[]),
    method("Minutes", &[]),
    method("Nanoseconds", &[]),
    method("Round", &[DURATION]),
    method("Seconds", &[]),
    method("String", &[]),
    method("Truncate", &[DURATION]),
];

const STRING_METHODS: &[Method] = &[method("String", &[])];

fn named(methods: &'static [Method], name: &str) -> Option<Member> {
    methods.iter().find(|method| method.name == name).map(|method| Member::Method(*method))
}

fn same<T: Object + PartialEq>(this: &T, other: &dyn Object) -> bool {
    (other as &dyn std::any::Any).downcast_ref::<T>() == Some(this)
}

fn unknown(object: &dyn Object, method: &str) -> Failure {
    Failure::message(format!("{} has no method {method}", object.type_name()))
}

/// Reads a duration argument; a literal arrives as an int64.
fn duration(args: &[Value]) -> i64 {
    match args.first() {
        Some(Value::Int64(nanos)) => *nanos,
        other => other.and_then(|value| value.downcast::<Duration>()).map_or(0, |duration| duration.0),
    }
}

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn member(&self, name: &str) -> Option<Member> {
        let refused = REFUSED.iter().find(|(method, _)| method.name == name);
        refused.map(|(method, why)| Member::Refused(*method, why)).or_else(|| named(TIME_METHODS, name))
    }

    fn invoke(&self, method: &str, args: &[Value]) -> Result<Value, Failure> {
        let other = || args.first().and_then(|value| value.downcast::<Time>()).cloned().unwrap_or_else(Time::zero);
        let civil = self.civil();
        let number = |n: u32| Value::Int(i64::from(n));
        let order = || self.order().cmp(&other().order());
        Ok(match method {
            "Add" => Value::object(self.add(duration(args))),
            "AddDate" => Value::object(self.add_date(int(args, 0), int(args, 1), int(args, 2))),
            "After" => order().is_gt().into(),
            "Before" => order().is_lt().into(),
            "Compare" => Value::Int(order() as i64),
            "Equal" => order().is_eq().into(),
            "Day" => number(civil.day),
            "Hour" => number(civil.hour),
            "Minute" => number(civil.minute),
            "Second" => number(civil.second),
            "Nanosecond" => number(self.nanos),
            "Year" => Value::Int(civil.year),
            "YearDay" => number(civil.year_day),
            "Month" => Value::object(Month(i64::from(civil.month))),
            "Weekday" => Value::object(Weekday(i64::from(civil.weekday))),
            "Format" => layouts::format(self, text(args, 0)).into(),
            "String" => layouts::display(self).into(),
            "GoString" => self.go_text().into(),
            "IsDST" => self.is_dst().into(),
            "IsZero" => self.is_zero().into(),
            "In" => match args.first().and_then(|value| value.downcast::<Location>()) {
                Some(Location(zone)) => Value::object(self.in_zone(zone.clone())),
                None => return Err(Failure::message("time: missing Location in call to Time.In")),
            },
            "MarshalJSON" => Value::Bytes(format!("\"{}\"", self.marshalled("MarshalJSON")?).into()),
            "MarshalText" => Value::Bytes(self.marshalled("MarshalText")?.into()),
            "UTC" => Value::object(self.in_zone(Zone::Utc)),
            "Local" => Value::object(self.in_zone(Zone::Local(self.local_zone()))),
            "Location" => Value::object(Location(self.zone.clone())),
            "Round" => Value::object(self.to_multiple(duration(args), true)),
            "Truncate" => Value::object(self.to_multiple(duration(args), false)),
            "Sub" => Value::object(Duration(self.since(&other()))),
            "Unix" => Value::Int64(self.seconds),
            "UnixMilli" => Value::Int64(self.unix_in(1000)),
            "UnixMicro" => Value::Int64(self.unix_in(1_000_000)),
            "UnixNano" => Value::Int64(self.unix_in(1_000_000_000)),
            _ => return Err(unknown(self, method)),
        })
    }

    fn string(&self) -> Option<Str> {
        Some(layouts::display(self).into())
    }

    fn go_string(&self) -> Option<String> {
        Some(self.go_text())
    }

    fn json(&self) -> Option<Result<serde_json::Value, String>> {
        Some(self.marshalled("MarshalJSON").map(Into::into).map_err(|failure| failure.to_string()))
    }

    fn equal(&self, other: &dyn Object) -> bool {
        same(self, other)
    }
}

impl Time {
    fn order(&self) -> (i64, u32) {
        (self.seconds, self.nanos)
    }

    /// The local zone, as far as a time knows it: its own if that is local.
    fn local_zone(&self) -> TimeZone {
        match &self.zone {
            Zone::Local(zone) => zone.clone(),
            _ => TimeZone::UTC,
        }
    }

    fn add_date(&self, years: i64, months: i64, days: i64) -> Self {
        let civil = self.civil();
        let clock = seconds_from_civil(
            civil.year.wrapping_add(years),
            i64::from(civil.month).wrapping_add(months),
            i64::from(civil.day).wrapping_add(days),
            i64::from(civil.hour),
            i64::from(civil.minute),
            i64::from(civil.second),
        );
        let offset = i64::from(self.zone.offset_of_clock(clock));
        Self::from_unix(clock.wrapping_sub(offset), self.nanos, self.zone.clone())
    }

    /// Rounds or cuts to a multiple of a duration since the zero time.
    fn to_multiple(&self, unit: i64, round: bool) -> Self {
        let plain = Self { monotonic: None, ..self.clone() };
        if unit <= 0 {
            return plain;
        }
        let since_zero =
            (i128::from(self.seconds) - i128::from(Time::zero().seconds)) * 1_000_000_000 + i128::from(self.nanos);
        let rest = since_zero.rem_euclid(i128::from(unit)) as i64;
        if round && rest.unsigned_abs() * 2 >= unit as u64 {
            return plain.add(unit - rest);
        }
        plain.add(-rest)
    }

    fn unix_in(&self, per_second: i64) -> i64 {
        let part = i64::from(self.nanos) / (1_000_000_000 / per_second);
        self.seconds.wrapping_mul(per_second).wrapping_add(part)
    }

    fn is_dst(&self) -> bool {
        let (Zone::Named(zone) | Zone::Local(zone)) = &self.zone else { return false };
        let instant = jiff::Timestamp::from_second(self.seconds).unwrap_or_default();
        zone.to_offset_info(instant).dst().is_dst()
    }

    fn marshalled(&self, method: &str) -> Result<String, Failure> {
        if !(0..=9999).contains(&self.civil().year) {
            return Err(Failure::message(format!("Time.{method}: year outside of range [0,9999]")));
        }
        let text = layouts::format(self, layouts::RFC3339_NANO.as_bytes());
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn go_text(&self) -> String {
        let civil = self.civil();
        let zone = match &self.zone {
            Zone::Utc => "time.UTC".into(),
            Zone::Local(_) => "time.Local".into(),
            zone => format!("time.Location({})", quote_for_time(location_name(zone).as_bytes())),
        };
        format!(
            "time.Date({}, time.{}, {}, {}, {}, {}, {}, {zone})",
            civil.year,
            layouts::LONG_MONTHS[civil.month as usize - 1],
            civil.day,
            civil.hour,
            civil.minute,
            civil.second,
            self.nanos
        )
    }
}

fn location_name(zone: &Zone) -> String {
    match zone {
        Zone::Utc => "UTC".into(),
        Zone::Local(_) => "Local".into(),
        Zone::Fixed { name, .. } => name.to_string(),
        Zone::Named(zone) => zone.iana_name().unwrap_or_default().into(),
    }
}

impl Object for Duration {
    fn type_name(&self) -> &'static str {
        "time.Duration"
    }

    fn kind(&self) -> Kind {
        Kind::Int64
    }

    fn member(&self, name: &str) -> Option<Member> {
        named(DURATION_METHODS, name)
    }

    fn invoke(&self, method: &str, args: &[Value]) -> Result<Value, Failure> {
        let nanos = self.0;
        Ok(match method {
            "Abs" => Value::object(Self(nanos.saturating_abs())),
            "Hours" => Value::Float(durations::hours(nanos)),
            "Minutes" => Value::Float(durations::minutes(nanos)),
            "Seconds" => Value::Float(durations::seconds(nanos)),
            "Milliseconds" => Value::Int64(nanos / 1_000_000),
            "Microseconds" => Value::Int64(nanos / 1000),
            "Nanoseconds" => Value::Int64(nanos),
            "Round" => Value::object(Self(durations::round(nanos, duration(args)))),
            "Truncate" => Value::object(Self(durations::truncate(nanos, duration(args)))),
            "String" => durations::display(nanos).into(),
            _ => return Err(unknown(self, method)),
        })
    }

    fn string(&self) -> Option<Str> {
        Some(durations::display(self.0).into())
    }

    fn underlying(&self) -> Option<Value> {
        Some(Value::Int64(self.0))
    }

    fn with_integer(&self, integer: i64) -> Option<Value> {
        Some(Value::object(Self(integer)))
    }

    fn equal(&self, other: &dyn Object) -> bool {
        same(self, other)
    }
}

/// Months and weekdays: integers that print as names.
macro_rules! named_int {
    ($type:ident, $name:literal, $first:literal, $names:expr) => {
        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0
            }
        }

        impl Object for $type {
            fn type_name(&self) -> &'static str {
                $name
            }

            fn kind(&self) -> Kind {
                Kind::Int
            }

            fn member(&self, name: &str) -> Option<Member> {
                named(STRING_METHODS, name)
            }

            fn invoke(&self, _method: &str, _args: &[Value]) -> Result<Value, Failure> {
                Ok(self.string().unwrap_or_default().into())
            }

            fn string(&self) -> Option<Str> {
                let place = usize::try_from(self.0 - $first).ok();
                Some(match place.and_then(|place| $names.get(place)) {
                    Some(name) => Str::from(*name),
                    None => format!("%!{}({})", stringify!($type), self.0).into(),
                })
            }

            fn underlying(&self) -> Option<Value> {
                Some(Value::Int(self.0))
            }

            fn with_integer(&self, integer: i64) -> Option<Value> {
                Some(Value::object(Self(integer)))
            }

            fn equal(&self, other: &dyn Object) -> bool {
                same(self, other)
            }
        }
    };
}

named_int!(Month, "time.Month", 1, layouts::LONG_MONTHS);
named_int!(Weekday, "time.Weekday", 0, layouts::LONG_DAYS);

impl PartialEq for Location {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Object for Location {
    fn type_name(&self) -> &'static str {
        "*time.Location"
    }

    fn kind(&self) -> Kind {
        Kind::Ptr
    }

    fn member(&self, name: &str) -> Option<Member> {
        named(STRING_METHODS, name)
    }

    fn invoke(&self, _method: &str, _args: &[Value]) -> Result<Value, Failure> {
        Ok(location_name(&self.0).into())
    }

    fn string(&self) -> Option<Str> {
        Some(location_name(&self.0).into())
    }

    fn equal(&self, other: &dyn Object) -> bool {
        same(self, other)
    }
}
