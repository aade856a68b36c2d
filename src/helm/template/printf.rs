//! Go's `fmt.Sprintf` with all verbs and flags.

use std::io::Write;

use crate::functions::Failure;
use crate::value::quote::{can_backquote, decode_rune, is_print, quote, quote_rune, rune_count};
use crate::value::{FloatFormat, Kind, MAX_DEPTH, MAX_TEXT, Map, Object, Str, Value, format_float};

/// `fmt.Sprintf`. Fails only beyond the bounds of printed values.
pub fn sprintf(format: &[u8], args: &[Value]) -> Result<Str, Failure> {
    let mut printer = Printer::default();
    printer.format(format, args)?;
    Ok(printer.out.into())
}

/// `fmt.Sprint`: a space between operands of which neither is a string.
pub fn sprint(args: &[Value]) -> Result<Str, Failure> {
    let mut out = Vec::new();
    let mut after_string = true;
    for arg in args {
        let string = arg.kind() == Kind::String;
        if !string && !after_string {
            out.push(b' ');
        }
        arg.print(&mut out)?;
        after_string = string;
    }
    Ok(out.into())
}

/// `fmt.Sprintln`
pub(super) fn sprintln(args: &[Value]) -> Result<Str, Failure> {
    let mut out = Vec::new();
    for (at, arg) in args.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        arg.print(&mut out)?;
    }
    out.push(b'\n');
    Ok(out.into())
}

/// The largest width, precision or argument number that Go takes.
const MAX_NUMBER: i64 = 1_000_000;

/// The flags, width and precision of one verb.
#[derive(Clone, Copy, Default)]
struct Flags {
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    /// `%+v`
    plus_v: bool,
    /// `%#v`
    sharp_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Where the reading of a format stands.
struct Cursor<'f> {
    format: &'f [u8],
    at: usize,
    arg: usize,
    /// An argument was chosen by number.
    reordered: bool,
    good_arg: bool,
    after_index: bool,
}

impl Cursor<'_> {
    fn byte(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Reads a number; one that is too large ends the format, as in Go.
    fn number(&mut self, end: usize) -> Option<usize> {
        let mut number: Option<i64> = None;
        while self.at < end && self.format[self.at].is_ascii_digit() {
            let so_far = number.unwrap_or(0);
            if so_far > MAX_NUMBER {
                self.at = end;
                return None;
            }
            number = Some(so_far * 10 + i64::from(self.format[self.at] - b'0'));
            self.at += 1;
        }
        number.and_then(|number| usize::try_from(number).ok())
    }

    /// Reads `[n]`, which chooses the next argument.
    fn arg_number(&mut self, args: usize) {
        self.after_index = false;
        if self.byte() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let close = if rest.len() < 3 { None } else { rest.iter().position(|b| *b == b']') };
        let Some(close) = close else {
            self.good_arg = false;
            self.at += 1;
            return;
        };
        let end = self.at + close;
        self.at += 1;
        let number = self.number(end);
        let whole = self.at == end;
        self.at = end + 1;
        match number {
            Some(number) if whole => {
                self.after_index = true;
                match number.checked_sub(1).filter(|at| *at < args) {
                    Some(at) => self.arg = at,
                    None => self.good_arg = false,
                }
            }
            _ => self.good_arg = false,
        }
    }
}

#[derive(Default)]
struct Printer {
    out: Vec<u8>,
    flags: Flags,
    /// A complaint about a verb is being printed, which prints no methods.
    complaining: bool,
}

type Done = Result<(), Failure>;

impl Printer {
    fn format(&mut self, format: &[u8], args: &[Value]) -> Done {
        let mut cursor = Cursor { format, at: 0, arg: 0, reordered: false, good_arg: true, after_index: false };
        while cursor.at < format.len() {
            let text = memchr::memchr(b'%', &format[cursor.at..]).map_or(format.len(), |n| cursor.at + n);
            self.out.extend_from_slice(&format[cursor.at..text]);
            cursor.at = text + 1;
            if text == format.len() {
                break;
            }
            cursor.good_arg = true;
            cursor.after_index = false;
            self.verb(&mut cursor, args)?;
            if self.out.len() > MAX_TEXT {
                return Err(Failure::limit(format!("printf: a text longer than {MAX_TEXT} bytes")));
            }
        }
        if !cursor.reordered && cursor.arg < args.len() {
            self.extra(&args[cursor.arg..])?;
        }
        Ok(())
    }

    fn extra(&mut self, args: &[Value]) -> Done {
        self.flags = Flags::default();
        self.out.extend_from_slice(b"%!(EXTRA ");
        for (at, arg) in args.iter().enumerate() {
            if at > 0 {
                self.out.extend_from_slice(b", ");
            }
            if !arg.is_nil() {
                self.out.extend_from_slice(arg.type_name().as_bytes());
                self.out.push(b'=');
            }
            self.arg(arg, 'v')?;
        }
        self.out.push(b')');
        Ok(())
    }

    /// Prints one verb; the cursor stands after the percent sign.
    fn verb(&mut self, cursor: &mut Cursor<'_>, args: &[Value]) -> Done {
        self.flags = Flags::default();
        while let Some(byte) = cursor.byte() {
            match byte {
                b'#' => self.flags.sharp = true,
                b'0' => self.flags.zero = true,
                b'+' => self.flags.plus = true,
                b'-' => self.flags.minus = true,
                b' ' => self.flags.space = true,
                _ => break,
            }
            cursor.at += 1;
        }
        cursor.arg_number(args.len());
        self.width(cursor, args);
        self.precision(cursor, args);
        if !cursor.after_index {
            cursor.arg_number(args.len());
        }
        if cursor.at >= cursor.format.len() {
            self.out.extend_from_slice(b"%!(NOVERB)");
            return Ok(());
        }
        let (verb, size) = decode_rune(&cursor.format[cursor.at..]);
        cursor.at += size;
        if verb == '%' {
            self.out.push(b'%');
        } else if !cursor.good_arg {
            self.complaint(verb, "BADINDEX");
        } else if let Some(arg) = args.get(cursor.arg) {
            if matches!(verb, 'v' | 'w') {
                self.flags.sharp_v = std::mem::take(&mut self.flags.sharp);
                self.flags.plus_v = std::mem::take(&mut self.flags.plus);
            }
            self.arg(arg, verb)?;
            cursor.arg += 1;
        } else {
            self.complaint(verb, "MISSING");
        }
        Ok(())
    }

    fn width(&mut self, cursor: &mut Cursor<'_>, args: &[Value]) {
        if cursor.take(b'*') {
            match int_arg(args, &mut cursor.arg) {
                Some(width) => {
                    if width < 0 {
                        self.flags.minus = true;
                        self.flags.zero = false;
                    }
                    self.flags.width = Some(width.unsigned_abs() as usize);
                }
                None => self.out.extend_from_slice(b"%!(BADWIDTH)"),
            }
            cursor.after_index = false;
            return;
        }
        self.flags.width = cursor.number(cursor.format.len());
        if cursor.after_index && self.flags.width.is_some() {
            cursor.good_arg = false;
        }
    }

    fn precision(&mut self, cursor: &mut Cursor<'_>, args: &[Value]) {
        if cursor.at + 1 >= cursor.format.len() || !cursor.take(b'.') {
            return;
        }
        if cursor.after_index {
            cursor.good_arg = false;
        }
        cursor.arg_number(args.len());
        if cursor.take(b'*') {
            match int_arg(args, &mut cursor.arg) {
                Some(precision) if precision >= 0 => self.flags.precision = Some(precision as usize),
                _ => self.out.extend_from_slice(b"%!(BADPREC)"),
            }
            cursor.after_index = false;
        } else {
            self.flags.precision = Some(cursor.number(cursor.format.len()).unwrap_or(0));
        }
    }

    fn complaint(&mut self, verb: char, what: &str) {
        self.out.extend_from_slice(format!("%!{verb}({what})").as_bytes());
    }

    fn bad_verb(&mut self, value: &Value, verb: char) -> Done {
        let outer = std::mem::replace(&mut self.complaining, true);
        self.out.extend_from_slice(format!("%!{verb}(").as_bytes());
        if value.is_nil() {
            self.out.extend_from_slice(b"<nil>");
        } else {
            self.out.extend_from_slice(value.type_name().as_bytes());
            self.out.push(b'=');
            self.arg(value, 'v')?;
        }
        self.out.push(b')');
        self.complaining = outer;
        Ok(())
    }

    /// Prints an operand.
    fn arg(&mut self, value: &Value, verb: char) -> Done {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => {
                self.pad(b"<nil>");
                Ok(())
            }
            (_, 'T') => {
                let name = value.type_name().into_owned();
                self.text(name.as_bytes());
                Ok(())
            }
            (Value::Bytes(bytes), _) => self.bytes(bytes, verb, "[]byte"),
            _ => self.value(value, verb, 0),
        }
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) -> Done {
        if depth > MAX_DEPTH {
            return Err(Failure::limit(format!("a value nested deeper than {MAX_DEPTH} cannot be printed")));
        }
        if self.out.len() > MAX_TEXT {
            return Err(Failure::limit(format!("a value longer than {MAX_TEXT} bytes cannot be printed")));
        }
        match value {
            Value::Nil if depth > 0 => {
                self.out.extend_from_slice(if self.flags.sharp_v { b"interface {}(nil)" } else { b"<nil>" });
                Ok(())
            }
            Value::Nil => self.bad_verb(value, verb),
            Value::Bool(b) if matches!(verb, 't' | 'v') => {
                self.pad(if *b { b"true" } else { b"false" });
                Ok(())
            }
            Value::Bool(_) => self.bad_verb(value, verb),
            Value::Int(i) | Value::Int64(i) => self.integer(value, *i as u64, true, verb),
            Value::Uint8(u) => self.integer(value, u64::from(*u), false, verb),
            Value::Uint64(u) => self.integer(value, *u, false, verb),
            Value::Float(f) => self.float(value, *f, verb),
            Value::Complex(re, im) => self.complex(value, *re, *im, verb),
            Value::Str(s) => self.string(value, s, verb),
            Value::Bytes(bytes) => self.bytes(bytes, verb, "[]uint8"),
            Value::List(list) => {
                let name = list.list_type().name();
                self.sequence(name, list.is_nil(), list.len(), depth, |this, at, depth| {
                    this.value(&list[at], verb, depth)
                })
            }
            Value::Map(map) => self.map(map.map_type().name(), map, verb, depth),
            Value::Obj(object) => self.object(value, object.as_ref(), verb, depth),
        }
    }

    fn map(&mut self, type_name: &str, map: &Map, verb: char, depth: usize) -> Done {
        if self.flags.sharp_v {
            self.out.extend_from_slice(type_name.as_bytes());
            if map.is_nil() {
                self.out.extend_from_slice(b"(nil)");
                return Ok(());
            }
        }
        self.out.extend_from_slice(if self.flags.sharp_v { b"{" } else { b"map[" });
        for (at, (key, item)) in map.entries().iter().enumerate() {
            self.separator(at);
            self.value(&Value::Str(key.clone()), verb, depth + 1)?;
            self.out.push(b':');
            self.value(item, verb, depth + 1)?;
        }
        self.out.push(if self.flags.sharp_v { b'}' } else { b']' });
        Ok(())
    }

    fn separator(&mut self, at: usize) {
        if at > 0 {
            self.out.extend_from_slice(if self.flags.sharp_v { b", " } else { b" " });
        }
    }

    fn sequence(
        &mut self,
        type_name: &str,
        nil: bool,
        length: usize,
        depth: usize,
        mut item: impl FnMut(&mut Self, usize, usize) -> Done,
    ) -> Done {
        if self.flags.sharp_v {
            self.out.extend_from_slice(type_name.as_bytes());
            if nil {
                self.out.extend_from_slice(b"(nil)");
                return Ok(());
            }
        }
        self.out.push(if self.flags.sharp_v { b'{' } else { b'[' });
        for at in 0..length {
            self.separator(at);
            item(self, at, depth + 1)?;
        }
        self.out.push(if self.flags.sharp_v { b'}' } else { b']' });
        Ok(())
    }

    fn object(&mut self, value: &Value, object: &dyn Object, verb: char, depth: usize) -> Done {
        if !self.complaining && verb == 'w' {
            return self.bad_verb(value, verb);
        }
        if !self.complaining
            && !self.flags.sharp_v
            && matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
            && let Some(text) = object.string()
        {
            return self.string(value, &text, verb);
        }
        if !self.complaining
            && self.flags.sharp_v
            && let Some(text) = object.go_string()
        {
            self.text(text.as_bytes());
            return Ok(());
        }
        if let Some(plain) = object.underlying() {
            if let (Value::Map(map), true) = (&plain, self.flags.sharp_v) {
                return self.map(object.type_name(), map, verb, depth);
            }
            if let (Value::List(list), true) = (&plain, self.flags.sharp_v) {
                return self.sequence(object.type_name(), list.is_nil(), list.len(), depth, |this, at, depth| {
                    this.value(&list[at], verb, depth)
                });
            }
            return self.value(&plain, verb, depth);
        }
        let pointer = object.kind() == Kind::Ptr;
        if object.is_nil() {
            self.pad(b"<nil>");
            return Ok(());
        }
        if pointer && depth > 0 && verb != 'v' {
            // Go prints the address here, which only the default verb can.
            return self.bad_verb(value, verb);
        }
        if pointer {
            self.out.push(b'&');
        }
        if self.flags.sharp_v {
            self.out.extend_from_slice(object.type_name().trim_start_matches('*').as_bytes());
        }
        self.out.push(b'{');
        for (at, (name, field)) in object.fields().iter().enumerate() {
            self.separator(at);
            if self.flags.plus_v || self.flags.sharp_v {
                self.out.extend_from_slice(name.as_bytes());
                self.out.push(b':');
            }
            self.value(field, verb, depth + 1)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn pad(&mut self, text: &[u8]) {
        let missing = self.flags.width.map_or(0, |width| width.saturating_sub(rune_count(text)));
        if self.flags.minus {
            self.out.extend_from_slice(text);
            self.padding(missing);
        } else {
            self.padding(missing);
            self.out.extend_from_slice(text);
        }
    }

    fn padding(&mut self, count: usize) {
        let byte = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        self.out.resize(self.out.len() + count, byte);
    }

    /// Pads with spaces whatever the zero flag says.
    fn pad_with_spaces(&mut self, text: &[u8]) {
        let zero = std::mem::replace(&mut self.flags.zero, false);
        self.pad(text);
        self.flags.zero = zero;
    }

    /// Cuts a text to the precision, in characters.
    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let Some(precision) = self.flags.precision else { return text };
        let mut end = 0;
        for _ in 0..precision {
            end += decode_rune(&text[end..]).1;
        }
        &text[..end]
    }

    fn text(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        self.pad(text);
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        let mut out = Vec::with_capacity(text.len() + 2);
        if self.flags.sharp && can_backquote(text) {
            out.push(b'`');
            out.extend_from_slice(text);
            out.push(b'`');
        } else {
            quote(&mut out, text, self.flags.plus);
        }
        self.pad(&out);
    }

    fn string(&mut self, value: &Value, text: &[u8], verb: char) -> Done {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text),
            'v' | 's' => self.text(text),
            'x' | 'X' => self.hex(text, verb == 'X'),
            'q' => self.quoted(text),
            _ => return self.bad_verb(value, verb),
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8], verb: char, type_name: &str) -> Done {
        match verb {
            's' => self.text(bytes),
            'x' | 'X' => self.hex(bytes, verb == 'X'),
            'q' => self.quoted(bytes),
            _ => {
                return self.sequence(type_name, false, bytes.len(), 0, |this, at, _| {
                    this.integer(&Value::Uint8(bytes[at]), u64::from(bytes[at]), false, verb)
                });
            }
        }
        Ok(())
    }

    /// Prints bytes in hexadecimal.
    fn hex(&mut self, bytes: &[u8], upper: bool) {
        let bytes = &bytes[..self.flags.precision.unwrap_or(usize::MAX).min(bytes.len())];
        let prefix: &[u8] = if upper { b"0X" } else { b"0x" };
        let mut text = Vec::with_capacity(bytes.len() * 2);
        for (at, byte) in bytes.iter().enumerate() {
            if self.flags.space && at > 0 {
                text.push(b' ');
            }
            if self.flags.sharp && (at == 0 || self.flags.space) {
                text.extend_from_slice(prefix);
            }
            let digits = if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
            text.extend_from_slice(digits.as_bytes());
        }
        self.pad(&text);
    }

    fn integer(&mut self, value: &Value, bits: u64, signed: bool, verb: char) -> Done {
        let c = u32::try_from(bits).ok().and_then(char::from_u32).unwrap_or('\u{FFFD}');
        match verb {
            'v' if self.flags.sharp_v && !signed => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.digits(bits, signed, 16, 'x');
                self.flags.sharp = sharp;
            }
            'v' | 'd' => self.digits(bits, signed, 10, verb),
            'b' => self.digits(bits, signed, 2, verb),
            'o' | 'O' => self.digits(bits, signed, 8, verb),
            'x' | 'X' => self.digits(bits, signed, 16, verb),
            'c' => self.pad(c.encode_utf8(&mut [0; 4]).as_bytes()),
            'q' => {
                let mut out = Vec::new();
                quote_rune(&mut out, c, self.flags.plus);
                self.pad(&out);
            }
            'U' => self.unicode(bits),
            _ => return self.bad_verb(value, verb),
        }
        Ok(())
    }

    /// Prints an integer in a base with sign, prefix, precision and width.
    fn digits(&mut self, bits: u64, signed: bool, base: u32, verb: char) {
        let Flags { sharp, zero, plus, minus, space, width, precision, .. } = self.flags;
        let negative = signed && (bits as i64) < 0;
        let number = if negative { bits.wrapping_neg() } else { bits };
        if precision == Some(0) && number == 0 {
            let zero = std::mem::replace(&mut self.flags.zero, false);
            self.padding(width.unwrap_or(0));
            self.flags.zero = zero;
            return;
        }
        let least = match (precision, width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if zero && !minus => width.saturating_sub(usize::from(negative || plus || space)),
            _ => 0,
        };
        let digits = match (base, verb) {
            (2, _) => format!("{number:b}"),
            (8, _) => format!("{number:o}"),
            (16, 'X') => format!("{number:X}"),
            (16, _) => format!("{number:x}"),
            _ => number.to_string(),
        };
        let mut body = "0".repeat(least.saturating_sub(digits.len()));
        body.push_str(&digits);
        let prefix = match (base, verb) {
            (_, 'O') => "0o",
            (2, _) if sharp => "0b",
            (8, _) if sharp && !body.starts_with('0') => "0",
            (16, 'X') if sharp => "0X",
            (16, _) if sharp => "0x",
            _ => "",
        };
        let sign = match (negative, plus, space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        // `%#O` has both prefixes.
        let octal = if verb == 'O' && sharp && !body.starts_with('0') { "0" } else { "" };
        self.pad_with_spaces(format!("{sign}{prefix}{octal}{body}").as_bytes());
    }

    fn unicode(&mut self, code: u64) {
        let precision = self.flags.precision.unwrap_or(4).max(4);
        let mut text = format!("U+{code:0precision$X}");
        if self.flags.sharp
            && let Some(c) = u32::try_from(code).ok().and_then(char::from_u32).filter(|c| is_print(*c))
        {
            text.extend([" '", c.encode_utf8(&mut [0; 4]), "'"]);
        }
        self.pad_with_spaces(text.as_bytes());
    }

    fn complex(&mut self, value: &Value, re: f64, im: f64, verb: char) -> Done {
        if !matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E') {
            return self.bad_verb(value, verb);
        }
        let plus = self.flags.plus;
        self.out.push(b'(');
        self.float(value, re, verb)?;
        self.flags.plus = true;
        self.float(value, im, verb)?;
        self.out.extend_from_slice(b"i)");
        self.flags.plus = plus;
        Ok(())
    }

    fn float(&mut self, value: &Value, float: f64, verb: char) -> Done {
        let default = match verb {
            'v' | 'g' | 'G' | 'b' | 'x' | 'X' => None,
            'e' | 'E' | 'f' | 'F' => Some(6),
            _ => return self.bad_verb(value, verb),
        };
        let precision = self.flags.precision.or(default);
        let mut text = Vec::new();
        match verb {
            'e' | 'E' => format_float(&mut text, float, FloatFormat::Exponent, precision),
            'f' | 'F' => format_float(&mut text, float, FloatFormat::Fixed, precision),
            'b' => binary(&mut text, float),
            'x' | 'X' => hexadecimal(&mut text, float, precision),
            _ => format_float(&mut text, float, FloatFormat::General, precision),
        }
        if matches!(verb, 'E' | 'G' | 'X') && float.is_finite() {
            text.make_ascii_uppercase();
        }
        if !matches!(text[0], b'-' | b'+') {
            text.insert(0, b'+');
        }
        let Flags { zero, plus, minus, space, width, sharp, .. } = self.flags;
        if space && text[0] == b'+' && !plus {
            text[0] = b' ';
        }
        if matches!(text[1], b'I' | b'N') {
            let unsigned = text[0] == b'+' && !plus && (text[1] == b'N' || !space);
            // An infinity keeps its sign; a NaN has one only when asked for.
            let from = usize::from(unsigned && text[1] == b'N');
            self.pad_with_spaces(&text[from..]);
            return Ok(());
        }
        if sharp && verb != 'b' {
            keep_point(&mut text, verb, precision);
        }
        if plus || text[0] != b'+' {
            if zero && !minus && width.is_some_and(|width| width > text.len()) {
                self.out.push(text[0]);
                self.padding(width.unwrap_or(0) - text.len());
                self.out.extend_from_slice(&text[1..]);
                return Ok(());
            }
            self.pad(&text);
            return Ok(());
        }
        self.pad(&text[1..]);
        Ok(())
    }
}

/// Takes an integer for a width or precision; one that is too large does not count.
fn int_arg(args: &[Value], at: &mut usize) -> Option<i64> {
    let value = args.get(*at)?;
    *at += 1;
    let number = match value {
        Value::Int(i) | Value::Int64(i) => *i,
        Value::Uint8(u) => i64::from(*u),
        Value::Uint64(u) => i64::try_from(*u).ok()?,
        _ => return None,
    };
    (-MAX_NUMBER..=MAX_NUMBER).contains(&number).then_some(number)
}

/// The sharp flag: a decimal point, and the trailing zeros that `%g` drops.
fn keep_point(text: &mut Vec<u8>, verb: char, precision: Option<usize>) {
    let mut digits = match verb {
        'v' | 'g' | 'G' | 'x' => precision.map_or(6, |p| p as i64),
        _ => 0,
    };
    let hex = matches!(verb, 'x' | 'X');
    let tail_at = text.iter().position(|b| matches!(b, b'p' | b'P') || !hex && matches!(b, b'e' | b'E'));
    let tail = tail_at.map(|at| text.split_off(at)).unwrap_or_default();
    let mut seen = false;
    for byte in text[1..].iter().filter(|b| **b != b'.') {
        seen |= *byte != b'0';
        digits -= i64::from(seen);
    }
    if !text.contains(&b'.') {
        if text[1..] == *b"0" {
            digits -= 1;
        }
        text.push(b'.');
    }
    text.extend(std::iter::repeat_n(b'0', usize::try_from(digits).unwrap_or(0)));
    text.extend_from_slice(&tail);
}

/// The mantissa and binary exponent of a finite float.
fn parts(float: f64) -> (u64, i32) {
    let bits = float.to_bits();
    let (exponent, mantissa) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
    if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) }
}

/// `%b`: a decimal mantissa with a binary exponent.
fn binary(out: &mut Vec<u8>, float: f64) {
    if !float.is_finite() {
        return format_float(out, float, FloatFormat::General, None);
    }
    let (mantissa, exponent) = parts(float);
    let sign = if float.is_sign_negative() { "-" } else { "" };
    // Writing into a Vec cannot fail.
    let _ = write!(out, "{sign}{mantissa}p{exponent:+}");
}

/// `%x`: a hexadecimal mantissa with a binary exponent.
fn hexadecimal(out: &mut Vec<u8>, float: f64, precision: Option<usize>) {
    if !float.is_finite() {
        return format_float(out, float, FloatFormat::General, None);
    }
    let (mut mantissa, mut exponent) = parts(float);
    if mantissa != 0 {
        while mantissa >> 52 == 0 {
            mantissa <<= 1;
            exponent -= 1;
        }
        exponent += 52;
    } else {
        exponent = 0;
    }
    if let Some(digits) = precision.filter(|digits| *digits < 13) {
        let drop = 52 - 4 * digits as u32;
        let half = 1_u64 << (drop - 1);
        let rest = mantissa & ((1 << drop) - 1);
        mantissa >>= drop;
        if rest > half || rest == half && mantissa & 1 == 1 {
            mantissa += 1;
        }
        mantissa <<= drop;
        if mantissa >> 53 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let fraction = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let fraction = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(digits) => format!("{fraction:0<digits$}")[..digits].to_owned(),
    };
    let sign = if float.is_sign_negative() { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    let (exponent_sign, exponent) = (if exponent < 0 { '-' } else { '+' }, exponent.abs());
    let _ = write!(out, "{sign}0x{}{point}{fraction}p{exponent_sign}{exponent:02}", mantissa >> 52);
}
