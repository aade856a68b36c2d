//! RE2's syntax as Go's `regexp` reads it, rewritten for the `regex` crate.
//!
//! Everything is spelled out in the result (escapes, flags, classes), so that nothing depends on a difference of the two dialects:
//! `\d`, `\w`, `\b` are ASCII, a repetition applies to whatever stands before it, `{,n}` is text, group names may begin with a digit.

/// How often a piece may be repeated, nested repetitions multiplied.
const MAX_REPEAT: i32 = 1000;
/// How deep an expression may nest.
const MAX_HEIGHT: usize = 1000;
/// How many instructions Go allows a program.
const MAX_PROGRAM: u64 = (128 << 20) / 40;
const EMPTY_CLASS: &str = r"[^\x{0}-\x{10FFFF}]";

/// An expression that is not RE2; the text is Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {what}: `{expression}`")]
pub struct SyntaxError {
    pub what: &'static str,
    pub expression: String,
}

/// A translated expression.
#[derive(Debug, PartialEq, Eq)]
pub struct Translated {
    /// The expression for `regex::bytes`.
    pub pattern: String,
    /// Name of each group, the whole match first; empty for none.
    pub names: Vec<String>,
}

#[derive(Clone, Copy)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_newline: bool,
    lazy: bool,
}

/// A piece that a repetition can apply to.
struct Atom {
    text: String,
    /// The largest product of counted repetitions inside.
    repeats: Vec<Repeat>,
    height: usize,
    size: u64,
}

/// A counted repetition and those nested in it.
#[derive(Clone)]
struct Repeat {
    count: i32,
    inner: Vec<Repeat>,
}

/// A group that is being read.
struct Group {
    opening: &'static str,
    outer_flags: Flags,
    branches: Vec<Atom>,
    atoms: Vec<Atom>,
}

struct Parser<'p> {
    whole: &'p [u8],
    rest: &'p [u8],
    flags: Flags,
    groups: Vec<Group>,
    names: Vec<String>,
}

type Parsed<T> = Result<T, SyntaxError>;

fn fault(what: &'static str, expression: &[u8]) -> SyntaxError {
    SyntaxError { what, expression: String::from_utf8_lossy(expression).into_owned() }
}

/// Rewrites an expression, or tells what Go's parser would.
pub fn translate(expression: &[u8]) -> Parsed<Translated> {
    let flags = Flags { fold: false, multi_line: false, dot_newline: false, lazy: false };
    let mut parser = Parser {
        whole: expression,
        rest: expression,
        flags,
        groups: vec![Group::new("", flags)],
        names: vec![String::new()],
    };
    parser.parse()
}

impl Group {
    fn new(opening: &'static str, outer_flags: Flags) -> Self {
        Self { opening, outer_flags, branches: Vec::new(), atoms: Vec::new() }
    }

    /// Joins the pieces read since the last bar into one branch.
    fn end_branch(&mut self) {
        let atoms = std::mem::take(&mut self.atoms);
        let height = tallest(&atoms) + usize::from(atoms.len() > 1);
        self.branches.push(Atom {
            text: atoms.iter().map(|a| a.text.as_str()).collect(),
            height,
            size: atoms.iter().map(|a| a.size).sum(),
            repeats: atoms.into_iter().flat_map(|a| a.repeats).collect(),
        });
    }

    /// Joins the branches into one piece with its parentheses.
    fn close(mut self) -> Atom {
        self.end_branch();
        let branches = self.branches;
        let texts: Vec<&str> = branches.iter().map(|b| b.text.as_str()).collect();
        let text = match self.opening {
            "" => texts.join("|"),
            opening => format!("{opening}{})", texts.join("|")),
        };
        let captures = usize::from(self.opening == "(");
        Atom {
            text,
            height: tallest(&branches) + usize::from(branches.len() > 1) + captures,
            size: branches.iter().map(|b| b.size + 1).sum::<u64>() + 2 * captures as u64,
            repeats: branches.into_iter().flat_map(|b| b.repeats).collect(),
        }
    }
}

fn tallest(atoms: &[Atom]) -> usize {
    atoms.iter().map(|a| a.height).max().unwrap_or(0)
}

/// Holds nested repetitions against the limit, dividing as Go does.
fn repeats_are_valid(repeats: &[Repeat], limit: i32) -> bool {
    repeats.iter().all(|repeat| match repeat.count {
        0 => true,
        count => count <= limit && repeats_are_valid(&repeat.inner, limit / count),
    })
}

impl Parser<'_> {
    fn parse(&mut self) -> Parsed<Translated> {
        // The text from the last repetition operator on, while it is what was read last.
        let mut last_repeat: Option<&[u8]> = None;
        while let Some(first) = self.rest.first() {
            let before = self.rest;
            let mut repeated = false;
            match first {
                b'(' => self.open()?,
                b'|' => {
                    self.group().end_branch();
                    self.rest = &before[1..];
                }
                b')' => self.close()?,
                b'^' if self.flags.multi_line => self.assertion("(?m:^)", 1)?,
                b'^' => self.assertion(r"\A", 1)?,
                b'$' if self.flags.multi_line => self.assertion("(?m:$)", 1)?,
                b'$' => self.assertion(r"\z", 1)?,
                b'.' => {
                    let any = if self.flags.dot_newline { "(?s:.)" } else { "(?-s:.)" };
                    self.assertion(any, 1)?;
                }
                b'[' => self.class()?,
                b'*' | b'+' | b'?' => {
                    self.repeat(1, None, last_repeat)?;
                    repeated = true;
                }
                b'{' => {
                    if let Some((min, max, len)) = counts(&before[1..]) {
                        self.repeat(len + 1, Some((min, max)), last_repeat)?;
                        repeated = true;
                    } else {
                        self.rest = &before[1..];
                        self.literal('{')?;
                    }
                }
                b'\\' => self.escape()?,
                _ => {
                    let (c, rest) = next_char(before)?;
                    self.rest = rest;
                    self.literal(c)?;
                }
            }
            last_repeat = repeated.then_some(before);
        }
        let Some(top) = self.groups.pop().filter(|_| self.groups.is_empty()) else {
            return Err(fault("missing closing )", self.whole));
        };
        let whole = top.close();
        self.check(&whole)?;
        Ok(Translated { pattern: whole.text, names: std::mem::take(&mut self.names) })
    }

    fn group(&mut self) -> &mut Group {
        self.groups.last_mut().expect("the outermost group is only taken at the end")
    }

    fn check(&self, atom: &Atom) -> Parsed<()> {
        if atom.size > MAX_PROGRAM {
            return Err(fault("expression too large", self.whole));
        }
        if atom.height > MAX_HEIGHT || self.groups.len() > MAX_HEIGHT {
            return Err(fault("expression nests too deeply", self.whole));
        }
        Ok(())
    }

    fn push(&mut self, text: String) -> Parsed<()> {
        let atom = Atom { text, repeats: Vec::new(), height: 1, size: 1 };
        self.check(&atom)?;
        self.group().atoms.push(atom);
        Ok(())
    }

    fn literal(&mut self, c: char) -> Parsed<()> {
        let text = if self.flags.fold && (c.is_alphabetic() || !c.is_ascii()) {
            format!("(?i:{})", escaped(c))
        } else {
            escaped(c)
        };
        self.push(text)
    }

    fn assertion(&mut self, text: &str, len: usize) -> Parsed<()> {
        self.rest = &self.rest[len..];
        self.push(text.to_owned())
    }

    /// Applies the operator at the front, `len` bytes long, to the piece before it.
    fn repeat(&mut self, len: usize, counts: Option<(i32, i32)>, last: Option<&[u8]>) -> Parsed<()> {
        let before = self.rest;
        let mut after = &before[len..];
        if let Some((min, max)) = counts
            && (!(0..=MAX_REPEAT).contains(&min) || max > MAX_REPEAT || (max >= 0 && min > max))
        {
            return Err(fault("invalid repeat count", &before[..len]));
        }
        let mut lazy = self.flags.lazy;
        if after.first() == Some(&b'?') {
            after = &after[1..];
            lazy = !lazy;
        }
        if let Some(last) = last {
            let both = &last[..last.len() - after.len()];
            return Err(fault("invalid nested repetition operator", both));
        }
        let operator = &before[..before.len() - after.len()];
        let Some(sub) = self.group().atoms.pop() else {
            return Err(fault("missing argument to repetition operator", operator));
        };
        let atom = repeated(sub, before[0], counts, lazy);
        self.check(&atom)?;
        if counts.is_some_and(|(min, max)| min >= 2 || max >= 2) && !repeats_are_valid(&atom.repeats, MAX_REPEAT) {
            return Err(fault("invalid repeat count", operator));
        }
        self.group().atoms.push(atom);
        self.rest = after;
        Ok(())
    }

    fn open(&mut self) -> Parsed<()> {
        let before = self.rest;
        if before.get(1) == Some(&b'?') {
            return self.open_special();
        }
        self.rest = &before[1..];
        self.open_group("(", Some(String::new()))
    }

    fn open_group(&mut self, opening: &'static str, name: Option<String>) -> Parsed<()> {
        self.names.extend(name);
        let flags = self.flags;
        self.groups.push(Group::new(opening, flags));
        if self.groups.len() > MAX_HEIGHT {
            return Err(fault("expression nests too deeply", self.whole));
        }
        Ok(())
    }

    /// Reads what follows `(?`: a named group, flags, or a group of its own flags.
    fn open_special(&mut self) -> Parsed<()> {
        let text = self.rest;
        let name_at = if text.len() > 4 && text[2..].starts_with(b"P<") {
            Some(4)
        } else if text.len() > 3 && text[2] == b'<' {
            Some(3)
        } else {
            None
        };
        let Some(name_at) = name_at else {
            return self.flags();
        };
        let Some(end) = text.iter().position(|c| *c == b'>') else {
            check_utf8(text)?;
            return Err(fault("invalid named capture", text));
        };
        let name = &text[name_at..end];
        check_utf8(name)?;
        if name.is_empty() || !name.iter().all(|c| *c == b'_' || c.is_ascii_alphanumeric()) {
            return Err(fault("invalid named capture", &text[..=end]));
        }
        self.rest = &text[end + 1..];
        self.open_group("(", Some(String::from_utf8_lossy(name).into_owned()))
    }

    fn flags(&mut self) -> Parsed<()> {
        let text = self.rest;
        let mut rest = &text[2..];
        let mut flags = self.flags;
        let (mut on, mut saw_flag) = (true, false);
        while !rest.is_empty() {
            let (c, after) = next_char(rest)?;
            rest = after;
            match c {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_newline = on,
                'U' => flags.lazy = on,
                '-' if on => {
                    on = false;
                    saw_flag = false;
                    continue;
                }
                ':' | ')' if on || saw_flag => {
                    self.rest = rest;
                    if c == ':' {
                        self.open_group("(?:", None)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        let read = &text[..text.len() - rest.len()];
        Err(fault("invalid or unsupported Perl syntax", read))
    }

    fn close(&mut self) -> Parsed<()> {
        if self.groups.len() < 2 {
            return Err(fault("unexpected )", self.whole));
        }
        if let Some(group) = self.groups.pop() {
            self.flags = group.outer_flags;
            let atom = group.close();
            self.check(&atom)?;
            self.group().atoms.push(atom);
        }
        self.rest = &self.rest[1..];
        Ok(())
    }

    fn escape(&mut self) -> Parsed<()> {
        let text = self.rest;
        match text.get(1) {
            Some(b'A') => return self.assertion(r"\A", 2),
            Some(b'b') => return self.assertion(r"(?-u:\b)", 2),
            Some(b'B') => return self.assertion(r"(?-u:\B)", 2),
            Some(b'z') => return self.assertion(r"\z", 2),
            Some(b'C') => return Err(fault("invalid escape sequence", &text[..2])),
            Some(b'Q') => return self.quoted(),
            _ => {}
        }
        if let Some((class, rest)) = property(text)? {
            self.rest = rest;
            let class = self.folded(class);
            return self.push(class);
        }
        if let Some((class, rest)) = perl_class(text) {
            self.rest = rest;
            let class = self.folded(class);
            return self.push(class);
        }
        let (c, rest) = escaped_char(text)?;
        self.rest = rest;
        match c {
            Some(c) => self.literal(c),
            // A surrogate is in no text.
            None => self.push(EMPTY_CLASS.to_owned()),
        }
    }

    /// Reads `\Q...\E`, or to the end without `\E`.
    fn quoted(&mut self) -> Parsed<()> {
        let text = &self.rest[2..];
        let end = text.windows(2).position(|w| w == b"\\E");
        let mut quoted = &text[..end.unwrap_or(text.len())];
        self.rest = end.map_or(b"", |end| &text[end + 2..]);
        while !quoted.is_empty() {
            let (c, rest) = next_char(quoted)?;
            self.literal(c)?;
            quoted = rest;
        }
        Ok(())
    }

    fn folded(&self, class: String) -> String {
        if self.flags.fold { format!("(?i:{class})") } else { class }
    }

    /// Reads a class in brackets.
    fn class(&mut self) -> Parsed<()> {
        let whole = self.rest;
        let mut rest = &whole[1..];
        let mut class = String::from("[");
        if rest.first() == Some(&b'^') {
            class.push('^');
            rest = &rest[1..];
        }
        let (mut first, mut any) = (true, false);
        while rest.first() != Some(&b']') || first {
            first = false;
            if let Some((item, after)) = class_item(rest)? {
                class.push_str(&item);
                any = true;
                rest = after;
                continue;
            }
            let start = rest;
            let (low, after) = class_char(rest, whole)?;
            rest = after;
            let mut high = low;
            if rest.len() >= 2 && rest[0] == b'-' && rest[1] != b']' {
                let (c, after) = class_char(&rest[1..], whole)?;
                (high, rest) = (c, after);
                if high < low {
                    let range = &start[..start.len() - rest.len()];
                    return Err(fault("invalid character class range", range));
                }
            }
            any |= put_range(&mut class, low, high);
        }
        self.rest = &rest[1..];
        class.push(']');
        let class = match (any, class.as_str()) {
            (true, _) => self.folded(class),
            // Only surrogates: nothing, or for a negated class everything.
            (false, "[]") => EMPTY_CLASS.to_owned(),
            (false, _) => "(?s:.)".to_owned(),
        };
        self.push(class)
    }
}

fn repeated(sub: Atom, operator: u8, counts: Option<(i32, i32)>, lazy: bool) -> Atom {
    let inner = sub.repeats;
    let (suffix, size, repeats) = match counts {
        None => (char::from(operator).to_string(), sub.size + 2, inner),
        Some((min, max)) => {
            let suffix = match max {
                -1 => format!("{{{min},}}"),
                _ => format!("{{{min},{max}}}"),
            };
            let count = if max < 0 { min } else { max };
            let times = u64::try_from(count.max(1)).unwrap_or(1);
            (suffix, (sub.size + 1).saturating_mul(times), vec![Repeat { count, inner }])
        }
    };
    let lazy = if lazy { "?" } else { "" };
    Atom { text: format!("(?:{}){suffix}{lazy}", sub.text), repeats, height: sub.height + 1, size }
}

/// Reads `n}`, `n,}` or `n,m}`: both counts (-1: no end, or too large to tell) and the length.
fn counts(text: &[u8]) -> Option<(i32, i32, usize)> {
    let (mut min, mut rest) = count(text)?;
    let mut max = min;
    if rest.first() == Some(&b',') {
        rest = &rest[1..];
        if rest.first() == Some(&b'}') {
            max = -1;
        } else {
            (max, rest) = count(rest)?;
            if max < 0 {
                min = -1;
            }
        }
    }
    (rest.first() == Some(&b'}')).then(|| (min, max, text.len() - rest.len() + 1))
}

fn count(text: &[u8]) -> Option<(i32, &[u8])> {
    let len = text.iter().take_while(|c| c.is_ascii_digit()).count();
    if len == 0 || (len > 1 && text[0] == b'0') {
        return None;
    }
    let number = text[..len].iter().try_fold(0i32, |n, c| (n < 100_000_000).then(|| n * 10 + i32::from(c - b'0')));
    Some((number.unwrap_or(-1), &text[len..]))
}

fn next_char(text: &[u8]) -> Parsed<(char, &[u8])> {
    let len = match text.first() {
        Some(0..0x80) => 1,
        Some(0xc0..0xe0) => 2,
        Some(0xe0..0xf0) => 3,
        _ => 4,
    };
    text.get(..len)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|s| s.chars().next())
        .map(|c| (c, &text[len..]))
        .ok_or_else(|| fault("invalid UTF-8", text))
}

fn check_utf8(mut text: &[u8]) -> Parsed<()> {
    while !text.is_empty() {
        text = next_char(text)?.1;
    }
    Ok(())
}

fn escaped(c: char) -> String {
    if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) }
}

/// Reads an escape that stands for one character; `None` for a surrogate.
fn escaped_char(text: &[u8]) -> Parsed<(Option<char>, &[u8])> {
    let (code, rest) = escaped_code(text)?;
    Ok((char::from_u32(code), rest))
}

fn escaped_code(text: &[u8]) -> Parsed<(u32, &[u8])> {
    let body = &text[1..];
    if body.is_empty() {
        return Err(fault("trailing backslash at end of expression", b""));
    }
    let (c, rest) = next_char(body)?;
    let invalid = |rest: &[u8]| fault("invalid escape sequence", &text[..text.len() - rest.len()]);
    let octal = |c: Option<&u8>| c.is_some_and(|c| (b'0'..=b'7').contains(c));
    let code = match c {
        'a' => 7,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        '0'..='7' if c == '0' || octal(rest.first()) => {
            let more = rest.iter().take(2).take_while(|c| octal(Some(c))).count();
            let digits = &body[..=more];
            let code = digits.iter().fold(0, |n, d| n * 8 + u32::from(d - b'0'));
            return Ok((code, &rest[more..]));
        }
        'x' => return hex_code(rest, &invalid),
        _ if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        _ => return Err(invalid(rest)),
    };
    Ok((code, rest))
}

/// Reads what follows `\x`: two digits, or any number in braces.
fn hex_code<'t>(text: &'t [u8], invalid: &dyn Fn(&[u8]) -> SyntaxError) -> Parsed<(u32, &'t [u8])> {
    if text.is_empty() {
        return Err(invalid(text));
    }
    let (c, mut rest) = next_char(text)?;
    if c != '{' {
        let (d, after) = match next_char(rest) {
            Ok(read) => read,
            Err(_) if rest.is_empty() => return Err(invalid(rest)),
            Err(error) => return Err(error),
        };
        return match (c.to_digit(16), d.to_digit(16)) {
            (Some(high), Some(low)) => Ok((high * 16 + low, after)),
            _ => Err(invalid(after)),
        };
    }
    let (mut code, mut digits) = (0, 0);
    loop {
        if rest.is_empty() {
            return Err(invalid(rest));
        }
        let (c, after) = next_char(rest)?;
        rest = after;
        if c == '}' {
            break;
        }
        let digit = c.to_digit(16).ok_or_else(|| invalid(rest))?;
        code = code * 16 + digit;
        digits += 1;
        if code > u32::from(char::MAX) {
            return Err(invalid(rest));
        }
    }
    if digits == 0 {
        return Err(invalid(rest));
    }
    Ok((code, rest))
}

/// Reads one character of a class, as its code since it may be a surrogate.
fn class_char<'t>(text: &'t [u8], whole: &[u8]) -> Parsed<(u32, &'t [u8])> {
    match text.first() {
        None => Err(fault("missing closing ]", whole)),
        Some(b'\\') => escaped_code(text),
        Some(_) => next_char(text).map(|(c, rest)| (u32::from(c), rest)),
    }
}

/// Appends a range without its surrogates; false if nothing is left.
fn put_range(class: &mut String, low: u32, high: u32) -> bool {
    let mut any = false;
    for (low, high) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
        if low <= high {
            class.extend([format!("\\x{{{low:X}}}-\\x{{{high:X}}}")]);
            any = true;
        }
    }
    any
}

/// Reads what stands for several characters in a class: `[:alpha:]`, `\pL`, `\d`.
fn class_item(text: &[u8]) -> Parsed<Option<(String, &[u8])>> {
    if text.len() > 2
        && text.starts_with(b"[:")
        && let Some(end) = text[2..].windows(2).position(|w| w == b":]")
    {
        let (name, rest) = text.split_at(end + 4);
        let inside = &name[2..name.len() - 2];
        let (negated, plain) = match inside.strip_prefix(b"^") {
            Some(plain) => (true, plain),
            None => (false, inside),
        };
        return match posix_class(plain) {
            Some(set) => Ok(Some((class_of(set, negated), rest))),
            None => Err(fault("invalid character class range", name)),
        };
    }
    if let Some(found) = property(text)? {
        return Ok(Some(found));
    }
    Ok(perl_class(text))
}

fn class_of(set: &str, negated: bool) -> String {
    format!("[{}{set}]", if negated { "^" } else { "" })
}

fn perl_class(text: &[u8]) -> Option<(String, &[u8])> {
    if text.len() < 2 || text[0] != b'\\' {
        return None;
    }
    let set = match text[1].to_ascii_lowercase() {
        b'd' => "0-9",
        b's' => r"\t\n\x0C\r\x20",
        b'w' => "0-9A-Za-z_",
        _ => return None,
    };
    Some((class_of(set, text[1].is_ascii_uppercase()), &text[2..]))
}

fn posix_class(name: &[u8]) -> Option<&'static str> {
    Some(match name {
        b"alnum" => "0-9A-Za-z",
        b"alpha" => "A-Za-z",
        b"ascii" => r"\x00-\x7F",
        b"blank" => r"\t\x20",
        b"cntrl" => r"\x00-\x1F\x7F",
        b"digit" => "0-9",
        b"graph" => "\\x21-\\x7E",
        b"lower" => "a-z",
        b"print" => r"\x20-\x7E",
        b"punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
        b"space" => r"\t\n\x0B\x0C\r\x20",
        b"upper" => "A-Z",
        b"word" => "0-9A-Za-z_",
        b"xdigit" => "0-9A-Fa-f",
        _ => return None,
    })
}

/// Reads `\pL`, `\p{Greek}`, `\P{^Lu}`.
fn property(text: &[u8]) -> Parsed<Option<(String, &[u8])>> {
    if text.len() < 2 || text[0] != b'\\' || !matches!(text[1], b'p' | b'P') {
        return Ok(None);
    }
    if text.len() == 2 {
        return Err(fault("invalid UTF-8", b""));
    }
    let (c, after) = next_char(&text[2..])?;
    let (sequence, name, rest) = if c == '{' {
        let Some(end) = text.iter().position(|c| *c == b'}') else {
            check_utf8(text)?;
            return Err(fault("invalid character class range", text));
        };
        check_utf8(&text[3..end])?;
        (&text[..=end], &text[3..end], &text[end + 1..])
    } else {
        let sequence = &text[..text.len() - after.len()];
        (sequence, &sequence[2..], after)
    };
    let (negated, name) = match name.strip_prefix(b"^") {
        Some(name) => (text[1] == b'p', name),
        None => (text[1] == b'P', name),
    };
    let class = table(name).ok_or_else(|| fault("invalid character class range", sequence))?;
    let class = match (negated, class.as_str()) {
        (false, "") => EMPTY_CLASS.to_owned(),
        (true, "") => r"[\x{0}-\x{10FFFF}]".to_owned(),
        (false, class) => format!("\\p{{{class}}}"),
        (true, class) => format!("\\P{{{class}}}"),
    };
    Ok(Some((class, rest)))
}

/// Finds a table of characters by the names that Go has; the answer is what `regex` calls it, empty for surrogates.
fn table(name: &[u8]) -> Option<String> {
    let loose: String =
        name.iter().filter(|c| !matches!(c, b'_' | b'-' | b' ')).map(|c| char::from(c.to_ascii_lowercase())).collect();
    if ["cs", "surrogate"].contains(&loose.as_str()) {
        return Some(String::new());
    }
    if ["any", "assigned", "ascii"].contains(&loose.as_str()) {
        return Some(loose);
    }
    if CATEGORIES.split_whitespace().any(|known| known == loose) {
        return Some(format!("gc={loose}"));
    }
    let scripts = SCRIPTS.split_whitespace();
    let same = |known: &str| known.bytes().filter(|c| *c != b'_').eq(loose.bytes());
    scripts.into_iter().any(same).then(|| format!("sc={loose}"))
}

const CATEGORIES: &str = "c cc cf cn co l lc ll lm lo lt lu m mc me mn n nd nl no p pc pd pe pf pi po ps s sc sk sm so z zl zp zs \
    casedletter closepunctuation combiningmark connectorpunctuation control currencysymbol dashpunctuation decimalnumber enclosingmark \
    finalpunctuation format initialpunctuation letter letternumber lineseparator lowercaseletter mark mathsymbol modifierletter \
    modifiersymbol nonspacingmark number openpunctuation other otherletter othernumber otherpunctuation othersymbol paragraphseparator \
    privateuse punctuation separator spaceseparator spacingmark symbol titlecaseletter unassigned uppercaseletter cntrl digit punct";

const SCRIPTS: &str = "adlam ahom anatolian_hieroglyphs arabic armenian avestan balinese bamum bassa_vah batak bengali bhaiksuki \
    bopomofo brahmi braille buginese buhid canadian_aboriginal carian caucasian_albanian chakma cham cherokee chorasmian common coptic \
    cuneiform cypriot cypro_minoan cyrillic deseret devanagari dives_akuru dogra duployan egyptian_hieroglyphs elbasan elymaic ethiopic \
    garay georgian glagolitic gothic grantha greek gujarati gunjala_gondi gurmukhi gurung_khema han hangul hanifi_rohingya hanunoo hatran \
    hebrew hiragana imperial_aramaic inherited inscriptional_pahlavi inscriptional_parthian javanese kaithi kannada katakana kawi kayah_li \
    kharoshthi khitan_small_script khmer khojki khudawadi kirat_rai lao latin lepcha limbu linear_a linear_b lisu lycian lydian mahajani \
    makasar malayalam mandaic manichaean marchen masaram_gondi medefaidrin meetei_mayek mende_kikakui meroitic_cursive \
    meroitic_hieroglyphs miao modi mongolian mro multani myanmar nabataean nag_mundari nandinagari new_tai_lue newa nko nushu \
    nyiakeng_puachue_hmong ogham ol_chiki ol_onal old_hungarian old_italic old_north_arabian old_permic old_persian old_sogdian \
    old_south_arabian old_turkic old_uyghur oriya osage osmanya pahawh_hmong palmyrene pau_cin_hau phags_pa phoenician psalter_pahlavi \
    rejang runic samaritan saurashtra sharada shavian siddham signwriting sinhala sogdian sora_sompeng soyombo sundanese sunuwar \
    syloti_nagri syriac tagalog tagbanwa tai_le tai_tham tai_viet takri tamil tangsa tangut telugu thaana thai tibetan tifinagh tirhuta \
    todhri toto tulu_tigalari ugaritic vai vithkuqi wancho warang_citi yezidi yi zanabazar_square";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_translation_compiles() {
        for expression in [
            r"[\w-\.]",
            r"\Qa.b\E+",
            r"\pL+",
            r"a{,2}",
            "(?P<1a>x)",
            r"[^\d\s[:^alpha:]]",
            "(?i)K[a-c]",
            r"x{1000}",
            r"\x{D800}",
            "a(?i)*",
            "^*",
            r"[\x{D800}-\x{DFFF}]",
            r"\p{Old_Italic}\PN",
            "(|a)*",
            r"\B\b",
            "[]a]",
            r"\P{Cs}",
            r"[^\x{D800}]",
            "(?U)a+?",
        ] {
            let translated = translate(expression.as_bytes()).expect(expression);
            regex::bytes::Regex::new(&translated.pattern).expect(&translated.pattern);
        }
    }

    #[test]
    fn every_script_and_category_is_known_to_the_crate() {
        for name in CATEGORIES.split_whitespace().chain(SCRIPTS.split_whitespace()) {
            let translated = translate(format!("\\p{{{name}}}").as_bytes()).expect(name);
            regex::bytes::Regex::new(&translated.pattern).expect(name);
        }
    }

    #[test]
    fn what_is_not_re2_is_told_as_go_tells_it() {
        for (expression, want) in [
            ("(", "missing closing ): `(`"),
            (")", "unexpected ): `)`"),
            ("[", "missing closing ]: `[`"),
            ("*", "missing argument to repetition operator: `*`"),
            ("a**", "invalid nested repetition operator: `**`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            ("(a{500}){3}", "invalid repeat count: `{3}`"),
            ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
            (r"\8", r"invalid escape sequence: `\8`"),
            ("[b-a]", "invalid character class range: `b-a`"),
            ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
            (r"\p{Nope}", r"invalid character class range: `\p{Nope}`"),
            ("(?P<n-m>a)", "invalid named capture: `(?P<n-m>`"),
            ("a\\", "trailing backslash at end of expression: ``"),
            ("(|*)", "missing argument to repetition operator: `*`"),
        ] {
            let error = translate(expression.as_bytes()).expect_err(expression);
            assert_eq!(error.to_string(), format!("error parsing regexp: {want}"));
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let deep = format!("{}a{}", "(".repeat(1001), ")".repeat(1001));
        let error = translate(deep.as_bytes()).expect_err("too deep");
        assert_eq!(error.what, "expression nests too deeply");
    }
}
