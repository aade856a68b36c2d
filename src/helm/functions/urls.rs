//! Go's `net/url`: laxer than other parsers, and with error texts of its own.

use super::addresses::{self, AddressError, Family};
use super::arguments::{map, text};
use super::{Call, Failure, Function, Type};
use crate::value::quote::quoted as quote;
use crate::value::{Map, MapType, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("urlParse", &[Type::String], url_parse),
    Function::new("urlJoin", &[Type::Map(MapType::Any)], url_join),
];

/// Takes a URL apart into a dict.
fn url_parse(_: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    let url = parse(text(a, 0)).map_err(|error| Failure::message(format!("unable to parse url: {error}")))?;
    let user = url.user.as_ref().map(UserInfo::display).unwrap_or_default();
    let hostname = url.hostname().to_vec();
    Ok(Value::map([
        ("scheme", url.scheme.into()),
        ("host", url.host.into()),
        ("hostname", hostname.into()),
        ("path", url.path.into()),
        ("query", url.query.into()),
        ("opaque", url.opaque.into()),
        ("fragment", url.fragment.into()),
        ("userinfo", user.into()),
    ]))
}

/// Puts a URL together from a dict with the keys that `urlParse` makes; the host name alone does not count.
fn url_join(_: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    let dict = map(a, 0);
    let mut url = Url {
        scheme: part(&dict, "scheme")?,
        host: part(&dict, "host")?,
        path: part(&dict, "path")?,
        query: part(&dict, "query")?,
        opaque: part(&dict, "opaque")?,
        fragment: part(&dict, "fragment")?,
        user: None,
    };
    let user = part(&dict, "userinfo")?;
    if !user.is_empty() {
        url.user = UserInfo::parse(&user)
            .map_err(|error| Failure::message(format!("unable to parse userinfo in dict: {error}")))?;
    }
    Ok(url.display().into())
}

fn part(dict: &Map, key: &str) -> Result<Vec<u8>, Failure> {
    match dict.get(key.as_bytes()) {
        None => Ok(Vec::new()),
        Some(Value::Str(text)) => Ok(text.to_vec()),
        Some(Value::Nil) => Err(Failure::message(super::arguments::NIL_DEREFERENCE)),
        Some(other) => Err(Failure::message(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            other.kind().name()
        ))),
    }
}

/// A text that is no URL; the text is that of Go's `*url.Error`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse {url}: {cause}")]
pub struct UrlError {
    url: String,
    cause: Cause,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Cause {
    #[error("{0}")]
    Plain(&'static str),
    #[error("invalid URL escape {0}")]
    Escape(String),
    #[error("invalid character {0} in host name")]
    HostCharacter(String),
    #[error("invalid port {0} after host")]
    Port(String),
    #[error("invalid host: ParseAddr({0}): {1}")]
    Address(String, AddressError),
}

/// A URL in Go's parts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Url {
    pub scheme: Vec<u8>,
    pub opaque: Vec<u8>,
    pub user: Option<UserInfo>,
    pub host: Vec<u8>,
    pub path: Vec<u8>,
    pub query: Vec<u8>,
    pub fragment: Vec<u8>,
}

/// User name and, if a colon was there, password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// The part of a URL that an escape is in: each has its own set of plain characters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    UserPassword,
    Host,
    Zone,
    Fragment,
}

fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|c| *c == at) {
        Some(i) => (&text[..i], Some(&text[i + 1..])),
        None => (text, None),
    }
}

/// Parses as `url.Parse`.
pub fn parse(text: &[u8]) -> Result<Url, UrlError> {
    let failed = |url: &[u8]| {
        let url = quote(url);
        move |cause| UrlError { url, cause }
    };
    let (before, fragment) = cut(text, b'#');
    let mut url = parse_reference(before).map_err(failed(before))?;
    if let Some(fragment) = fragment {
        url.fragment = unescape(fragment, Part::Fragment).map_err(failed(text))?;
    }
    Ok(url)
}

fn parse_reference(text: &[u8]) -> Result<Url, Cause> {
    if text.iter().any(|c| *c < b' ' || *c == 0x7f) {
        return Err(Cause::Plain("net/url: invalid control character in URL"));
    }
    let mut url = Url::default();
    if text == b"*" {
        url.path = b"*".to_vec();
        return Ok(url);
    }
    let (scheme, rest) = split_scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (mut rest, query) = cut(rest, b'?');
    url.query = query.unwrap_or_default().to_vec();
    if !rest.starts_with(b"/") {
        if !scheme.is_empty() {
            url.opaque = rest.to_vec();
            return Ok(url);
        }
        if cut(rest, b'/').0.contains(&b':') {
            return Err(Cause::Plain("first path segment in URL cannot contain colon"));
        }
    }
    if rest.starts_with(b"//") && (!scheme.is_empty() || !rest.starts_with(b"///")) {
        let authority = &rest[2..];
        let end = authority.iter().position(|c| *c == b'/').unwrap_or(authority.len());
        rest = &authority[end..];
        (url.user, url.host) = parse_authority(&url.scheme, &authority[..end])?;
    }
    url.path = unescape(rest, Part::Path)?;
    Ok(url)
}

fn split_scheme(text: &[u8]) -> Result<(&[u8], &[u8]), Cause> {
    for (at, c) in text.iter().enumerate() {
        match c {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(Cause::Plain("missing protocol scheme")),
            b':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok((b"", text))
}

fn parse_authority(scheme: &[u8], authority: &[u8]) -> Result<(Option<UserInfo>, Vec<u8>), Cause> {
    let Some(at) = authority.iter().rposition(|c| *c == b'@') else {
        return Ok((None, parse_host(scheme, authority)?));
    };
    let host = parse_host(scheme, &authority[at + 1..])?;
    let info = &authority[..at];
    let allowed = |c: &u8| c.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(c);
    if !info.iter().all(allowed) {
        return Err(Cause::Plain("net/url: invalid userinfo"));
    }
    let (name, password) = cut(info, b':');
    let user = UserInfo {
        name: unescape(name, Part::UserPassword)?,
        password: password.map(|p| unescape(p, Part::UserPassword)).transpose()?,
    };
    Ok((Some(user), host))
}

fn parse_host(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, Cause> {
    match host.iter().rposition(|c| *c == b'[') {
        Some(0) => return parse_bracketed(host),
        Some(_) => return Err(Cause::Plain("invalid IP-literal")),
        None => {}
    }
    let first = host.iter().position(|c| *c == b':');
    // Only http is held to one colon.
    let strict = scheme == b"http" || scheme == b"https";
    let colon = if strict { first } else { host.iter().rposition(|c| *c == b':') };
    if let Some(colon) = colon {
        check_port(&host[colon..])?;
    }
    unescape(host, Part::Host)
}

fn parse_bracketed(host: &[u8]) -> Result<Vec<u8>, Cause> {
    let end = host.iter().rposition(|c| *c == b']').ok_or(Cause::Plain("missing ']' in host"))?;
    let port = &host[end + 1..];
    check_port(port)?;
    let name = &host[1..end];
    let zone = name.windows(3).position(|w| w == b"%25").unwrap_or(name.len());
    let mut plain = unescape(&name[..zone], Part::Host)?;
    plain.extend(unescape(&name[zone..], Part::Zone)?);
    check_address(&plain)?;
    Ok([b"[", plain.as_slice(), b"]", port].concat())
}

/// Holds what is in brackets against `netip.ParseAddr`.
fn check_address(address: &[u8]) -> Result<(), Cause> {
    match addresses::family(address) {
        Ok(Family::V6) => Ok(()),
        Ok(Family::V4) => Err(Cause::Plain("invalid IP-literal")),
        Err(fault) => Err(Cause::Address(quote(address), fault)),
    }
}

fn check_port(text: &[u8]) -> Result<(), Cause> {
    let digits = text.strip_prefix(b":").unwrap_or(text);
    if text.is_empty() || (digits.len() < text.len() && digits.iter().all(u8::is_ascii_digit)) {
        Ok(())
    } else {
        Err(Cause::Port(quote(text)))
    }
}

/// Tells whether a byte is written as it is in a part.
fn is_plain(c: u8, part: Part) -> bool {
    if c.is_ascii_alphanumeric() || b"-_.~".contains(&c) {
        return true;
    }
    match part {
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"".contains(&c),
        Part::Path => b"$&+,/:;=@".contains(&c),
        Part::UserPassword => b"$&+,;=".contains(&c),
        Part::Fragment => b"$&+,/:;=?@!()*".contains(&c),
    }
}

fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, Cause> {
    let escape = |bytes: &[u8]| Cause::Escape(quote(bytes));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = text.get(at) {
        if c != b'%' {
            if matches!(part, Part::Host | Part::Zone) && c < 0x80 && !is_plain(c, part) {
                return Err(Cause::HostCharacter(quote(&[c])));
            }
            out.push(c);
            at += 1;
            continue;
        }
        let code = &text[at..text.len().min(at + 3)];
        let digits = |i: usize| code.get(i).and_then(|c| char::from(*c).to_digit(16));
        let (Some(high), Some(low)) = (digits(1), digits(2)) else {
            return Err(escape(code));
        };
        let byte = (high * 16 + low) as u8;
        let refused = match part {
            // Hosts may only escape bytes beyond ASCII; a zone what a host holds plainly, and a space.
            Part::Host => high < 8 && code != b"%25",
            Part::Zone => code != b"%25" && byte != b' ' && !is_plain(byte, Part::Host),
            _ => false,
        };
        if refused {
            return Err(escape(code));
        }
        out.push(byte);
        at += 3;
    }
    Ok(out)
}

fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &c in text {
        if is_plain(c, part) {
            out.push(c);
        } else {
            out.extend_from_slice(format!("%{c:02X}").as_bytes());
        }
    }
    out
}

impl UserInfo {
    /// Reads `name:password` as a URL of that user would.
    pub fn parse(text: &[u8]) -> Result<Option<Self>, UrlError> {
        Ok(parse(&[b"proto://", text, b"@host"].concat())?.user)
    }

    /// Prints as `Userinfo.String`, escaped.
    pub fn display(&self) -> Vec<u8> {
        let mut out = escape(&self.name, Part::UserPassword);
        if let Some(password) = &self.password {
            out.push(b':');
            out.extend(escape(password, Part::UserPassword));
        }
        out
    }
}

impl Url {
    /// Returns the host without port and brackets.
    pub fn hostname(&self) -> &[u8] {
        let host = self.host.as_slice();
        let host = match host.iter().rposition(|c| *c == b':') {
            Some(colon) if check_port(&host[colon..]).is_ok() => &host[..colon],
            _ => host,
        };
        host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")).unwrap_or(host)
    }

    /// Prints as `URL.String` does when the parts were set by hand.
    pub fn display(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend_from_slice(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.put_hierarchy(&mut out);
        } else {
            out.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escape(&self.fragment, Part::Fragment));
        }
        out
    }

    fn put_hierarchy(&self, out: &mut Vec<u8>) {
        let has_authority = !self.host.is_empty() || self.user.is_some();
        if has_authority || (!self.scheme.is_empty() && !self.path.is_empty()) {
            out.extend_from_slice(b"//");
            if let Some(user) = &self.user {
                out.extend(user.display());
                out.push(b'@');
            }
            out.extend(escape(&self.host, Part::Host));
        }
        let path = match self.path.as_slice() {
            b"*" => b"*".to_vec(),
            path => escape(path, Part::Path),
        };
        if !self.host.is_empty() && path.first().is_some_and(|c| *c != b'/') {
            out.push(b'/');
        }
        // A first segment with a colon would read as a scheme.
        if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
            out.extend_from_slice(b"./");
        }
        out.extend(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_go() {
        let url = parse(b"http://u:p%40@[::1]:80/a%20b/%2F?x=%41#f%20g").expect("a URL");
        assert_eq!(url.user.as_ref().map(UserInfo::display), Some(b"u:p%40".to_vec()));
        assert_eq!(url.hostname(), b"::1");
        assert_eq!(url.path, b"/a b//");
        assert_eq!(url.query, b"x=%41");
        assert_eq!(url.fragment, b"f g");
        assert_eq!(parse(b"mailto:x@y").expect("a URL").opaque, b"x@y");
    }

    #[test]
    fn faults_are_told_as_go_tells_them() {
        for (text, want) in [
            ("http://h:port/", r#"parse "http://h:port/": invalid port ":port" after host"#),
            ("http://a b/", r#"parse "http://a b/": invalid character " " in host name"#),
            ("http://[::1", r#"parse "http://[::1": missing ']' in host"#),
            (":x", r#"parse ":x": missing protocol scheme"#),
            ("a:b/%zz", r#"parse "http://h/%zz": invalid URL escape "%zz""#),
            ("1:b", r#"parse "1:b": first path segment in URL cannot contain colon"#),
        ] {
            if text == "a:b/%zz" {
                // What follows a scheme without a slash is opaque and not unescaped.
                assert!(parse(text.as_bytes()).is_ok());
                continue;
            }
            assert_eq!(parse(text.as_bytes()).map_err(|e| e.to_string()), Err(want.to_owned()));
        }
    }
}
