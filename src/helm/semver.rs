//! Versions and constraints as Masterminds/semver 3.5 reads them, which is what Helm and sprig use.
//!
//! Not the rules of Cargo or npm: a `v` prefix and missing parts are allowed, a constraint knows `||`, `,` and space,
//! wildcards and ranges with a dash, `>11.1` leaves out 11.1.5, and a pre-release only matches a group that names one.

mod constraint;

use std::cmp::Ordering;
use std::fmt;

pub use constraint::Constraints;

/// The longest version text that is read, in bytes (`MaxVersionLen` upstream).
pub const MAX_VERSION_LEN: usize = 256;
/// The longest constraint text that is read, in bytes (`MaxConstraintLen` upstream).
pub const MAX_CONSTRAINT_LEN: usize = 512;
/// The most `||` groups of one constraint (`MaxConstraintGroups` upstream).
pub const MAX_CONSTRAINT_GROUPS: usize = 32;

/// Why a version or a constraint was refused; the texts are Masterminds' own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("invalid semantic version")]
    InvalidVersion,
    #[error("version string empty")]
    Empty,
    #[error("version string is too long (max {MAX_VERSION_LEN} bytes)")]
    VersionTooLong,
    #[error("invalid characters in version")]
    InvalidCharacters,
    #[error("version segment starts with 0")]
    SegmentStartsZero,
    #[error("invalid metadata string")]
    InvalidMetadata,
    #[error("invalid prerelease string")]
    InvalidPrerelease,
    /// A number of a lenient version that does not fit 64 bits.
    #[error("error parsing version segment: {0}")]
    Segment(NumberError),
    /// A number of a strict version that is missing or does not fit 64 bits.
    #[error("{0}")]
    Number(NumberError),
    #[error("{0} version increment would overflow uint64")]
    Overflow(&'static str),
    #[error("improper constraint: {}", crate::quote::quote(.0))]
    ImproperConstraint(String),
    #[error("constraint parser error")]
    ConstraintParser,
    #[error("constraint string is too long (max {MAX_CONSTRAINT_LEN} bytes)")]
    ConstraintTooLong,
    #[error("too many constraint groups (max {MAX_CONSTRAINT_GROUPS})")]
    TooManyGroups,
}

/// Go's `strconv.ParseUint` error for a text of digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("strconv.ParseUint: parsing {}: {}", crate::quote::quote(.0), if .0.is_empty() { "invalid syntax" } else { "value out of range" })]
pub struct NumberError(String);

/// A version. Order and equality leave the build metadata out. The default is Go's zero value: 0.0.0, made of no text.
#[derive(Debug, Clone, Default)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    pre: String,
    metadata: String,
    original: String,
}

impl Version {
    /// Reads a version leniently, as `semver.NewVersion`: `v1`, `1.2` and leading zeros are fine.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_VERSION_LEN {
            return Err(Error::VersionTooLong);
        }
        let (parts, rest) = Parts::scan(text, |b| b.is_ascii_digit()).ok_or(Error::InvalidVersion)?;
        if !rest.is_empty() {
            return Err(Error::InvalidVersion);
        }
        let number = |s: &str| if s.is_empty() { Ok(0) } else { parse_u64(s).map_err(Error::Segment) };
        let version = Self {
            major: number(parts.major)?,
            minor: number(parts.minor)?,
            patch: number(parts.patch)?,
            pre: parts.pre.to_string(),
            metadata: parts.metadata.to_string(),
            original: text.to_string(),
        };
        if !version.pre.is_empty() {
            check_prerelease(&version.pre)?;
        }
        if !version.metadata.is_empty() {
            check_metadata(&version.metadata)?;
        }
        Ok(version)
    }

    /// Reads a version strictly, as `semver.StrictNewVersion`: three numbers without leading zeros, no `v`.
    pub fn parse_strict(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if text.len() > MAX_VERSION_LEN {
            return Err(Error::VersionTooLong);
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::InvalidVersion);
        };
        let (rest, metadata) = split_extra(rest, '+', check_metadata)?;
        let (patch, pre) = split_extra(rest, '-', check_prerelease)?;
        for part in [major, minor, patch] {
            if !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Error::InvalidCharacters);
            }
            if part.len() > 1 && part.starts_with('0') {
                return Err(Error::SegmentStartsZero);
            }
        }
        Ok(Self {
            major: parse_u64(major).map_err(Error::Number)?,
            minor: parse_u64(minor).map_err(Error::Number)?,
            patch: parse_u64(patch).map_err(Error::Number)?,
            pre: pre.to_string(),
            metadata: metadata.to_string(),
            original: text.to_string(),
        })
    }

    /// Returns the first number.
    pub fn major(&self) -> u64 {
        self.major
    }

    /// Returns the second number, 0 when the text has none.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// Returns the third number, 0 when the text has none.
    pub fn patch(&self) -> u64 {
        self.patch
    }

    /// Returns the pre-release without its dash, or an empty text.
    pub fn prerelease(&self) -> &str {
        &self.pre
    }

    /// Returns the build metadata without its plus, or an empty text.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Returns the text that was parsed.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// Returns the next patch version; a pre-release becomes its release instead.
    pub fn inc_patch(&self) -> Result<Self, Error> {
        let patch = if self.pre.is_empty() { next(self.patch, "patch")? } else { self.patch };
        Ok(self.with(self.major, self.minor, patch, "", ""))
    }

    /// Returns the next minor version.
    pub fn inc_minor(&self) -> Result<Self, Error> {
        Ok(self.with(self.major, next(self.minor, "minor")?, 0, "", ""))
    }

    /// Returns the next major version.
    pub fn inc_major(&self) -> Result<Self, Error> {
        Ok(self.with(next(self.major, "major")?, 0, 0, "", ""))
    }

    /// Returns the version with another pre-release; an empty text takes it away.
    pub fn set_prerelease(&self, pre: &str) -> Result<Self, Error> {
        if !pre.is_empty() {
            check_prerelease(pre)?;
        }
        Ok(self.with(self.major, self.minor, self.patch, pre, &self.metadata))
    }

    /// Returns the version with other build metadata; an empty text takes it away.
    pub fn set_metadata(&self, metadata: &str) -> Result<Self, Error> {
        if !metadata.is_empty() {
            check_metadata(metadata)?;
        }
        Ok(self.with(self.major, self.minor, self.patch, &self.pre, metadata))
    }

    fn with(&self, major: u64, minor: u64, patch: u64, pre: &str, metadata: &str) -> Self {
        let mut version =
            Self { major, minor, patch, pre: pre.to_string(), metadata: metadata.to_string(), original: String::new() };
        let prefix = if self.original.starts_with('v') { "v" } else { "" };
        version.original = format!("{prefix}{version}");
        version
    }
}

/// Writes the full version without a `v`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| compare_release(&self.pre, &other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// The pieces of a version text that starts with `v?N(.N)?(.N)?(-pre)?(+metadata)?`.
struct Parts<'a> {
    text: &'a str,
    major: &'a str,
    minor: &'a str,
    patch: &'a str,
    pre: &'a str,
    metadata: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes the longest version from the front of a text; `number` says which bytes its numbers are made of.
    fn scan(text: &'a str, number: fn(u8) -> bool) -> Option<(Self, &'a str)> {
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (major, mut rest) = take(rest, number);
        if major.is_empty() {
            return None;
        }
        let mut numbers = [""; 2];
        for slot in &mut numbers {
            let Some(after) = rest.strip_prefix('.') else { break };
            let (digits, after) = take(after, number);
            if digits.is_empty() {
                break;
            }
            (*slot, rest) = (digits, after);
        }
        let (pre, rest) = take_identifiers(rest, '-');
        let (metadata, rest) = take_identifiers(rest, '+');
        let text = &text[..text.len() - rest.len()];
        Some((Self { text, major, minor: numbers[0], patch: numbers[1], pre, metadata }, rest))
    }
}

fn take(text: &str, wanted: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !wanted(b)).unwrap_or(text.len());
    text.split_at(end)
}

/// Takes `sign` and the dot-separated identifiers behind it; nothing when there is no identifier.
fn take_identifiers(text: &str, sign: char) -> (&str, &str) {
    let Some(body) = text.strip_prefix(sign) else { return ("", text) };
    let mut end = 0;
    loop {
        let start = if end == 0 {
            0
        } else if body[end..].starts_with('.') {
            end + 1
        } else {
            break;
        };
        let (identifier, _) = take(&body[start..], is_identifier);
        if identifier.is_empty() {
            break;
        }
        end = start + identifier.len();
    }
    if end == 0 { ("", text) } else { body.split_at(end) }
}

fn is_identifier(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-'
}

fn split_extra(text: &str, sign: char, check: fn(&str) -> Result<(), Error>) -> Result<(&str, &str), Error> {
    match text.split_once(sign) {
        Some((rest, extra)) => check(extra).map(|()| (rest, extra)),
        None => Ok((text, "")),
    }
}

fn parse_u64(digits: &str) -> Result<u64, NumberError> {
    digits.parse().map_err(|_| NumberError(digits.to_string()))
}

fn next(number: u64, name: &'static str) -> Result<u64, Error> {
    number.checked_add(1).ok_or(Error::Overflow(name))
}

fn check_prerelease(pre: &str) -> Result<(), Error> {
    for part in pre.split('.') {
        if part.is_empty() || !part.bytes().all(is_identifier) {
            return Err(Error::InvalidPrerelease);
        }
        if part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::SegmentStartsZero);
        }
    }
    Ok(())
}

fn check_metadata(metadata: &str) -> Result<(), Error> {
    let bad = |part: &str| part.is_empty() || !part.bytes().all(is_identifier);
    if metadata.split('.').any(bad) { Err(Error::InvalidMetadata) } else { Ok(()) }
}

/// Compares two pre-releases of the same numbers; none is the highest.
fn compare_release(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => compare_prerelease(a, b),
    }
}

fn compare_prerelease(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let (l, r) = (left.next(), right.next());
        if l.is_none() && r.is_none() {
            return Ordering::Equal;
        }
        let order = compare_identifier(l.unwrap_or(""), r.unwrap_or(""));
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Compares two identifiers: numbers are lower than texts, a missing one is the lowest.
///
/// Numbers that differ in writing only (`1`, `01`) are never equal, as upstream.
fn compare_identifier(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    if a.is_empty() || b.is_empty() {
        return if a.is_empty() { Ordering::Less } else { Ordering::Greater };
    }
    let number = |s: &str| if s.bytes().all(|c| c.is_ascii_digit()) { s.parse::<u64>().ok() } else { None };
    match (number(a), number(b)) {
        (Some(x), Some(y)) => {
            if x > y {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn a_lenient_version_may_lack_parts_and_have_a_prefix() {
        for (text, expected) in [
            ("1", "1.0.0"),
            ("v1.2", "1.2.0"),
            ("v01.002.3", "1.2.3"),
            ("1.2.3-beta.1+build.5", "1.2.3-beta.1+build.5"),
            ("1.2-5", "1.2.0-5"),
        ] {
            assert_eq!(version(text).to_string(), expected);
            assert_eq!(version(text).original(), text);
        }
        for (text, error) in [
            ("", "invalid semantic version"),
            ("V1", "invalid semantic version"),
            ("1.2.3.4", "invalid semantic version"),
            ("1.2.3 ", "invalid semantic version"),
            ("1.2.3-", "invalid semantic version"),
            ("1.2.3-01", "version segment starts with 0"),
            (
                "99999999999999999999",
                "error parsing version segment: strconv.ParseUint: parsing \"99999999999999999999\": value out of range",
            ),
        ] {
            assert_eq!(Version::parse(text).unwrap_err().to_string(), error, "{text}");
        }
        assert_eq!(Version::parse(&"1".repeat(257)), Err(Error::VersionTooLong));
    }

    #[test]
    fn a_strict_version_has_three_numbers() {
        assert_eq!(Version::parse_strict("1.2.3-a.b+c").unwrap().to_string(), "1.2.3-a.b+c");
        for (text, error) in [
            ("", "version string empty"),
            ("1.2", "invalid semantic version"),
            ("v1.2.3", "invalid characters in version"),
            ("1.02.3", "version segment starts with 0"),
            ("1..3", "strconv.ParseUint: parsing \"\": invalid syntax"),
            ("1.2.3-", "invalid prerelease string"),
            ("1.2.3+", "invalid metadata string"),
        ] {
            assert_eq!(Version::parse_strict(text).unwrap_err().to_string(), error, "{text}");
        }
    }

    #[test]
    fn versions_are_ordered_by_precedence() {
        let sorted = ["1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-a", "1.0.0-a.1", "1.0.0-b", "1.0.0", "1.0.1", "2.0.0"];
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("1.0.0+a"), version("1.0.0+b"));
    }

    #[test]
    fn an_increment_keeps_the_prefix_and_drops_the_rest() {
        let v = version("v1.2.3-rc.1+x");
        assert_eq!(v.inc_patch().unwrap().original(), "v1.2.3");
        assert_eq!(v.inc_minor().unwrap().original(), "v1.3.0");
        assert_eq!(v.inc_major().unwrap().original(), "v2.0.0");
        assert_eq!(v.set_prerelease("").unwrap().original(), "v1.2.3+x");
        assert_eq!(v.set_metadata("a_b"), Err(Error::InvalidMetadata));
        assert_eq!(version("1.0.18446744073709551615").inc_patch(), Err(Error::Overflow("patch")));
    }

    #[test]
    fn constraints_follow_masterminds() {
        for (constraint, yes, no) in [
            ("=1.2", "1.2.5", "1.3.0"),
            ("1.2.3", "1.2.3", "1.2.4"),
            ("!=1.x", "2.0.0", "1.5.0"),
            ("!=1.2.x", "1.3.0", "1.2.9"),
            (">11.1", "11.2.0", "11.1.5"),
            (">11", "12.0.0", "11.1.0"),
            ("<=11", "11.5.0", "12.0.0"),
            ("=<11.1", "11.1.5", "11.2.0"),
            ("=>1.19-0", "1.19.0-rc.1", "1.18.9"),
            (">=1.19", "1.19.0", "1.20.0-rc.1"),
            ("~1.2.3", "1.2.9", "1.3.0"),
            ("~>1", "1.9.0", "2.0.0"),
            ("~0.0.0", "7.0.0", "1.0.0-a"),
            ("^0.2.3", "0.2.9", "0.3.0"),
            ("^0.0.3", "0.0.3", "0.0.4"),
            ("^1.2", "1.9.0", "2.0.0"),
            ("1.2 - 2.3", "2.3.9", "2.4.0"),
            (">=1 <2 , !=1.5.0", "1.4.0", "1.5.0"),
            ("<1 || >=2", "2.0.0", "1.0.0"),
            ("*", "9.0.0", "9.0.0-rc.1"),
            ("v1.2.x", "1.2.0", "1.1.0"),
        ] {
            let parsed = Constraints::parse(constraint).unwrap();
            assert!(parsed.check(&version(yes)), "{constraint} accepts {yes}");
            assert!(!parsed.check(&version(no)), "{constraint} refuses {no}");
        }
    }

    #[test]
    fn a_refused_constraint_is_named() {
        for (constraint, error) in [
            ("", "improper constraint: \"\""),
            ("1.2,", "improper constraint: \"1.2,\""),
            (">=>1", "improper constraint: \">=>1\""),
            ("1 || foo", "improper constraint: \" foo\""),
            ("1.2.3-01", "constraint parser error"),
            ("1|2", "constraint parser error"),
        ] {
            assert_eq!(Constraints::parse(constraint).unwrap_err().to_string(), error, "{constraint}");
        }
        assert_eq!(Constraints::parse(&" ".repeat(513)).unwrap_err(), Error::ConstraintTooLong);
        assert_eq!(Constraints::parse(&vec!["1"; 33].join("||")).unwrap_err(), Error::TooManyGroups);
    }
}
