//! Go's `time.Time`: an instant with the location it is shown in.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

const SECONDS_PER_DAY: i64 = 86_400;
/// Unix seconds of Go's zero time, 0001-01-01T00:00:00Z.
const ZERO_TIME: i64 = -62_135_596_800;

/// A location as Go's `time.Location`.
#[derive(Clone, Debug, PartialEq)]
pub enum Zone {
    Utc,
    /// Go's local zone, which the caller of a render decides.
    Local(TimeZone),
    /// A zone of one offset; its name may be empty, then the offset is printed.
    Fixed {
        name: Arc<str>,
        offset: i32,
    },
    /// A zone of the tz database.
    Named(TimeZone),
}

/// An instant: Unix seconds, nanoseconds, where it is shown, and the reading of the monotonic clock if it came from `now`.
#[derive(Clone, Debug)]
pub struct Time {
    pub seconds: i64,
    pub nanos: u32,
    pub zone: Zone,
    /// Nanoseconds since the process began; only a time read from the clock has it, and Go prints it.
    pub monotonic: Option<i64>,
}

/// Calendar fields in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    /// 1 to 366.
    pub year_day: u32,
    /// 0 is Sunday.
    pub weekday: u32,
}

impl Zone {
    /// Finds a zone as `time.LoadLocation` does; `None` stands for its error.
    pub fn load(name: &str, local: &TimeZone) -> Option<Self> {
        match name {
            "" | "UTC" => return Some(Self::Utc),
            "Local" => return Some(Self::Local(local.clone())),
            _ => {}
        }
        let zone = TimeZone::get(name).ok()?;
        // Zone files are found by exact name, jiff looks without regard to case.
        (zone.iana_name() == Some(name)).then_some(Self::Named(zone))
    }

    /// Returns the offset that a clock time (as Unix seconds without offset) has, chosen as `time.Date` does where a
    /// change of the clocks leaves a choice.
    pub fn offset_of_clock(&self, seconds: i64) -> i32 {
        match self.at(seconds).1 {
            0 => 0,
            guess => self.at(seconds.wrapping_sub(i64::from(guess))).1,
        }
    }

    /// Returns the offset of an abbreviation that the zone uses around a clock time.
    pub fn offset_of_name(&self, name: &str, seconds: i64) -> Option<i32> {
        const HALF_YEAR: i64 = 182 * SECONDS_PER_DAY;
        let uses: Vec<i32> = [0, HALF_YEAR, -HALF_YEAR]
            .into_iter()
            .map(|shift| self.at(seconds.wrapping_add(shift)))
            .filter(|(known, _)| &**known == name)
            .map(|(_, offset)| offset)
            .collect();
        uses.iter()
            .copied()
            .find(|offset| &*self.at(seconds.wrapping_sub(i64::from(*offset))).0 == name)
            .or(uses.first().copied())
    }

    /// Returns abbreviation and offset (seconds east) at a Unix time.
    pub fn at(&self, seconds: i64) -> (Arc<str>, i32) {
        match self {
            Self::Utc => ("UTC".into(), 0),
            Self::Fixed { name, offset } => (name.clone(), *offset),
            Self::Named(zone) | Self::Local(zone) => {
                let bound = seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
                let instant = Timestamp::from_second(bound).unwrap_or_default();
                let info = zone.to_offset_info(instant);
                (info.abbreviation().into(), info.offset().seconds())
            }
        }
    }
}

impl Time {
    /// Builds an instant in UTC.
    pub fn from_unix(seconds: i64, nanos: u32, zone: Zone) -> Self {
        Self { seconds, nanos, zone, monotonic: None }
    }

    /// Go's zero time.
    pub fn zero() -> Self {
        Self::from_unix(ZERO_TIME, 0, Zone::Utc)
    }

    pub fn is_zero(&self) -> bool {
        self.seconds == ZERO_TIME && self.nanos == 0
    }

    /// Shows the same instant in another zone.
    #[must_use]
    pub fn in_zone(&self, zone: Zone) -> Self {
        Self { zone, ..self.clone() }
    }

    /// Adds a duration in nanoseconds.
    #[must_use]
    pub fn add(&self, nanos: i64) -> Self {
        let total = i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos) + i128::from(nanos);
        let seconds = total.div_euclid(1_000_000_000) as i64;
        Self {
            seconds,
            nanos: total.rem_euclid(1_000_000_000) as u32,
            zone: self.zone.clone(),
            monotonic: self.monotonic.and_then(|m| m.checked_add(nanos)),
        }
    }

    /// Returns the duration since `earlier`, held at int64's ends as Go does.
    pub fn since(&self, earlier: &Self) -> i64 {
        let nanos = (i128::from(self.seconds) - i128::from(earlier.seconds)) * 1_000_000_000 + i128::from(self.nanos)
            - i128::from(earlier.nanos);
        nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// Returns abbreviation and offset of its zone at this instant.
    pub fn zone_info(&self) -> (Arc<str>, i32) {
        self.zone.at(self.seconds)
    }

    /// Returns the calendar fields in its zone.
    pub fn civil(&self) -> Civil {
        let local = self.seconds.wrapping_add(i64::from(self.zone_info().1));
        civil_from_seconds(local)
    }
}

/// Two times are the same when all their parts are: what `reflect.DeepEqual` and `eq` see.
impl PartialEq for Time {
    fn eq(&self, other: &Self) -> bool {
        self.seconds == other.seconds && self.nanos == other.nanos && self.zone == other.zone
    }
}

/// Splits seconds since 1970-01-01T00:00:00 into calendar fields (proleptic Gregorian, as Go).
pub fn civil_from_seconds(seconds: i64) -> Civil {
    let days = seconds.div_euclid(SECONDS_PER_DAY);
    let clock = seconds.rem_euclid(SECONDS_PER_DAY) as u32;
    let (year, month, day) = civil_from_days(days);
    Civil {
        year,
        month,
        day,
        hour: clock / 3600,
        minute: clock / 60 % 60,
        second: clock % 60,
        year_day: (days - days_from_civil(year, 1, 1)) as u32 + 1,
        weekday: (days + 4).rem_euclid(7) as u32,
    }
}

/// Returns Unix seconds of a calendar time; fields beyond their range carry over.
pub fn seconds_from_civil(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> i64 {
    let months = month - 1;
    let year = year.wrapping_add(months.div_euclid(12));
    let month = months.rem_euclid(12) as u32 + 1;
    let days = days_from_civil(year, month, 1).wrapping_add(day - 1);
    days.wrapping_mul(SECONDS_PER_DAY)
        .wrapping_add(hour.wrapping_mul(3600))
        .wrapping_add(minute.wrapping_mul(60))
        .wrapping_add(second)
}

pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month (1 to 12).
pub fn days_in_month(month: u32, year: i64) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

// The two conversions count days in eras of 400 years that begin on March 1st, so that the leap day is a year's last.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = i128::from(year) - i128::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = i128::from((month + 9) % 12);
    let day_of_year = (153 * shifted + 2) / 5 + i128::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) as i64
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = i128::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    (year as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_convert_both_ways() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (-719_162, (1, 1, 1)),
            (-719_528, (0, 1, 1)),
        ] {
            assert_eq!(civil_from_days(days), date);
            assert_eq!(days_from_civil(date.0, date.1, date.2), days);
        }
    }

    #[test]
    fn a_zone_is_found_by_its_exact_name() {
        let local = TimeZone::UTC;
        assert_eq!(Zone::load("UTC", &local), Some(Zone::Utc));
        assert_eq!(Zone::load("asia/tokyo", &local), None);
        assert_eq!(Zone::load("Nope", &local), None);
        let tokyo = Zone::load("Asia/Tokyo", &local).expect("a zone of the database");
        assert_eq!(tokyo.at(0), ("JST".into(), 9 * 3600));
    }

    #[test]
    fn a_weekday_is_counted_from_sunday() {
        assert_eq!(civil_from_seconds(0).weekday, 4);
        assert_eq!(civil_from_seconds(-SECONDS_PER_DAY).weekday, 3);
    }
}
