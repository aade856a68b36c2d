//! Constraints: what they are made of, and whether a version meets them.

use std::cmp::Ordering;

use super::{Error, MAX_CONSTRAINT_GROUPS, MAX_CONSTRAINT_LEN, Parts, Version, compare_prerelease, take};

/// A constraint: groups of which one must hold, each a list of comparisons that must all hold.
#[derive(Debug, Clone)]
pub struct Constraints {
    groups: Vec<Group>,
}

#[derive(Debug, Clone)]
struct Group {
    comparisons: Vec<Comparison>,
    /// One of the comparisons names a pre-release, so the group accepts them.
    names_prerelease: bool,
}

impl Constraints {
    /// Reads a constraint such as `>=1.2, <2 || ~3.1`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_CONSTRAINT_LEN {
            return Err(Error::ConstraintTooLong);
        }
        let text = rewrite_ranges(text);
        if text.split("||").count() > MAX_CONSTRAINT_GROUPS {
            return Err(Error::TooManyGroups);
        }
        Ok(Self { groups: text.split("||").map(Group::parse).collect::<Result<_, _>>()? })
    }

    /// Says whether a version satisfies the constraint.
    pub fn check(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            (group.names_prerelease || version.pre.is_empty())
                && group.comparisons.iter().all(|comparison| comparison.check(version))
        })
    }
}

impl Group {
    fn parse(text: &str) -> Result<Self, Error> {
        let improper = || Error::ImproperConstraint(text.to_string());
        let mut comparisons = Vec::new();
        let mut rest = skip_space(text);
        loop {
            let (op, after) = take(rest, |b| b"=!<>~^".contains(&b));
            let op = Op::parse(op).ok_or_else(improper)?;
            let (parts, after) = Parts::scan(skip_space(after), is_constraint_number).ok_or_else(improper)?;
            comparisons.push((op, parts));
            rest = skip_space(after);
            let spaced = rest.len() < after.len();
            if rest.is_empty() {
                break;
            }
            match rest.strip_prefix(',') {
                Some(after) => rest = skip_space(after),
                None if spaced => {}
                None => return Err(improper()),
            }
        }
        let comparisons =
            comparisons.iter().map(|(op, parts)| Comparison::new(*op, parts)).collect::<Result<_, _>>()?;
        let mut group = Self { comparisons, names_prerelease: false };
        group.names_prerelease = group.comparisons.iter().any(|c| !c.version.pre.is_empty());
        Ok(group)
    }
}

fn skip_space(text: &str) -> &str {
    take(text, is_space).1
}

/// RE2's `\s`.
fn is_space(b: u8) -> bool {
    b"\t\n\x0c\r ".contains(&b)
}

/// The bytes that upstream's expression takes for a number: its class `[0-9|x|X|\*]` holds the bar, too.
fn is_constraint_number(b: u8) -> bool {
    b.is_ascii_digit() || b"xX*|".contains(&b)
}

fn is_wildcard(number: &str) -> bool {
    matches!(number, "" | "x" | "X" | "*")
}

/// Turns each `A - B` into `>= A, <= B `.
fn rewrite_ranges(text: &str) -> String {
    let mut out = text.to_string();
    let mut at = 0;
    while at < text.len() {
        match text.is_char_boundary(at).then(|| scan_range(&text[at..])).flatten() {
            Some((low, high, len)) => {
                let found = &text[at..at + len];
                out = out.replacen(found, &format!(">= {low}, <= {high} "), 1);
                at += len;
            }
            None => at += 1,
        }
    }
    out
}

/// Reads `\s*A\s+-\s+B\s*` from the front; returns both versions and the length of the whole.
fn scan_range(text: &str) -> Option<(&str, &str, usize)> {
    let (low, rest) = Parts::scan(skip_space(text), is_constraint_number)?;
    let dash = skip_space(rest);
    let after = dash.strip_prefix('-')?;
    let start = skip_space(after);
    if dash.len() == rest.len() || start.len() == after.len() {
        return None;
    }
    let (high, rest) = Parts::scan(start, is_constraint_number)?;
    Some((low.text, high.text, text.len() - skip_space(rest).len()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// `=` or nothing: the same version, or `~` when the version has wildcards.
    TildeOrEqual,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

impl Op {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "=" => Self::TildeOrEqual,
            "!=" => Self::NotEqual,
            ">" => Self::Greater,
            "<" => Self::Less,
            ">=" | "=>" => Self::GreaterEqual,
            "<=" | "=<" => Self::LessEqual,
            "~" | "~>" => Self::Tilde,
            "^" => Self::Caret,
            _ => return None,
        })
    }
}

/// Which parts of a comparison's version are wildcards or missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// None: `1.2.3`.
    Nothing,
    /// `1.2`, `1.2.x`.
    Patch,
    /// `1`, `1.x`.
    Minor,
    /// `*`.
    All,
}

#[derive(Debug, Clone)]
struct Comparison {
    op: Op,
    version: Version,
    open: Open,
}

impl Comparison {
    fn new(op: Op, parts: &Parts<'_>) -> Result<Self, Error> {
        let dash = if parts.pre.is_empty() { "" } else { "-" };
        let pre = parts.pre;
        let (open, text) = if is_wildcard(parts.major) {
            (Open::All, format!("0.0.0{dash}{pre}"))
        } else if is_wildcard(parts.minor) {
            (Open::Minor, format!("{}.0.0{dash}{pre}", parts.major))
        } else if is_wildcard(parts.patch) {
            (Open::Patch, format!("{}.{}.0{dash}{pre}", parts.major, parts.minor))
        } else {
            (Open::Nothing, parts.text.to_string())
        };
        let version = Version::parse(&text).map_err(|_| Error::ConstraintParser)?;
        Ok(Self { op, version, open })
    }

    fn check(&self, v: &Version) -> bool {
        match self.op {
            Op::TildeOrEqual if self.open == Open::Nothing => *v == self.version,
            Op::TildeOrEqual | Op::Tilde => self.tilde(v),
            Op::NotEqual => self.not_equal(v),
            Op::Greater => self.greater(v),
            Op::Less => *v < self.version,
            Op::GreaterEqual => *v >= self.version,
            Op::LessEqual => self.less_equal(v),
            Op::Caret => self.caret(v),
        }
    }

    fn not_equal(&self, v: &Version) -> bool {
        let c = &self.version;
        if self.open == Open::Nothing {
            return *v != *c;
        }
        if c.major != v.major {
            return true;
        }
        if self.open == Open::Minor {
            return false;
        }
        if c.minor != v.minor {
            return true;
        }
        match self.open {
            Open::Patch if v.pre.is_empty() && c.pre.is_empty() => false,
            Open::Patch => compare_prerelease(&v.pre, &c.pre) != Ordering::Equal,
            // `!=*`: all that is left of it is `!=0.0.*` with the patch compared.
            _ => c.patch != v.patch || *v != *c,
        }
    }

    fn greater(&self, v: &Version) -> bool {
        let c = &self.version;
        match self.open {
            Open::Nothing => v > c,
            // >11 needs 12, >11.1 needs 11.2.
            _ if v.major != c.major => v.major > c.major,
            Open::Minor => false,
            Open::Patch => v.minor > c.minor,
            Open::All => v > c,
        }
    }

    fn less_equal(&self, v: &Version) -> bool {
        let c = &self.version;
        if self.open == Open::Nothing {
            return v <= c;
        }
        v.major < c.major || (v.major == c.major && (v.minor <= c.minor || self.open == Open::Minor))
    }

    fn tilde(&self, v: &Version) -> bool {
        let c = &self.version;
        if v < c {
            return false;
        }
        // ~0.0.0 and ~* accept all.
        let zero = (c.major, c.minor, c.patch) == (0, 0, 0);
        if zero && matches!(self.open, Open::Nothing | Open::All) {
            return true;
        }
        v.major == c.major && (v.minor == c.minor || self.open == Open::Minor)
    }

    fn caret(&self, v: &Version) -> bool {
        let c = &self.version;
        if v < c {
            return false;
        }
        if c.major > 0 || self.open == Open::Minor {
            return v.major == c.major;
        }
        if v.major > 0 {
            return false;
        }
        if c.minor > 0 || self.open == Open::Patch {
            return v.minor == c.minor;
        }
        v.minor == 0 && c.patch == v.patch
    }
}
