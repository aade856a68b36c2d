//! IP addresses in URLs, held against Go's `netip.ParseAddr`.

/// What is wrong with an address; the text is what follows `ParseAddr("..."): ` in Go's error.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("{0}")]
    Whole(&'static str),
    #[error("{0} (at {at})", at = crate::value::quote::quoted(.1))]
    At(&'static str, Vec<u8>),
}

/// The two kinds of addresses.
#[derive(Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

type Result<T> = std::result::Result<T, AddressError>;

fn at<T>(what: &'static str, rest: &[u8]) -> Result<T> {
    Err(AddressError::At(what, rest.to_vec()))
}

/// Tells the family of an address, an IPv6 zone included.
pub fn family(address: &[u8]) -> Result<Family> {
    match address.iter().find(|c| matches!(c, b'.' | b':' | b'%')) {
        Some(b'.') => check_v4(address).map(|()| Family::V4),
        Some(b':') => check_v6(address).map(|()| Family::V6),
        Some(_) => Err(AddressError::Whole("missing IPv6 address")),
        None => Err(AddressError::Whole("unable to parse IP")),
    }
}

fn check_v4(text: &[u8]) -> Result<()> {
    let (mut value, mut digits, mut fields) = (0u32, 0, 0);
    for (i, c) in text.iter().enumerate() {
        match c {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err(AddressError::Whole("IPv4 field has octet with leading zero"));
                }
                value = value * 10 + u32::from(c - b'0');
                digits += 1;
                if value > 255 {
                    return Err(AddressError::Whole("IPv4 field has value >255"));
                }
            }
            b'.' => {
                if i == 0 || i == text.len() - 1 || text[i - 1] == b'.' {
                    return at("IPv4 field must have at least one digit", &text[i..]);
                }
                if fields == 3 {
                    return Err(AddressError::Whole("IPv4 address too long"));
                }
                fields += 1;
                (value, digits) = (0, 0);
            }
            _ => return at("unexpected character", &text[i..]),
        }
    }
    if fields < 3 { Err(AddressError::Whole("IPv4 address too short")) } else { Ok(()) }
}

fn check_v6(address: &[u8]) -> Result<()> {
    let mut rest = address;
    if let Some(zone) = address.iter().position(|c| *c == b'%') {
        if zone + 1 == address.len() {
            return Err(AddressError::Whole("zone must be a non-empty string"));
        }
        rest = &address[..zone];
    }
    let mut shortened = rest.starts_with(b"::");
    if shortened {
        rest = &rest[2..];
        if rest.is_empty() {
            return Ok(());
        }
    }
    // Bytes of the address that are known.
    let mut known = 0;
    while known < 16 {
        let digits = rest.iter().take_while(|c| c.is_ascii_hexdigit()).count();
        if digits > 4 {
            return at("each group must have 4 or less digits", rest);
        }
        if digits == 0 {
            return at("each colon-separated field must have at least one digit", rest);
        }
        if rest.get(digits) == Some(&b'.') {
            if !shortened && known != 12 {
                return at("embedded IPv4 address must replace the final 2 fields of the address", rest);
            }
            if known + 4 > 16 {
                return at("too many hex fields to fit an embedded IPv4 at the end of the address", rest);
            }
            check_v4(rest)?;
            rest = b"";
            known += 4;
            break;
        }
        known += 2;
        rest = &rest[digits..];
        match rest {
            [] => break,
            [b':'] => return at("colon must be followed by more characters", rest),
            [b':', after @ ..] => rest = after,
            _ => return at("unexpected character, want colon", rest),
        }
        if let [b':', after @ ..] = rest {
            if shortened {
                return at("multiple :: in address", rest);
            }
            shortened = true;
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return at("trailing garbage after address", rest);
    }
    match (known < 16, shortened) {
        (true, false) => Err(AddressError::Whole("address string too short")),
        (false, true) => Err(AddressError::Whole("the :: must expand to at least one field of zeros")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_by_family_or_fault() {
        for (address, want) in [
            ("1.2.3.4", Ok(Family::V4)),
            ("::1", Ok(Family::V6)),
            ("fe80::1%en0", Ok(Family::V6)),
            ("::ffff:1.2.3.4", Ok(Family::V6)),
            ("1:2:3:4:5:6:7::", Ok(Family::V6)),
            ("01.2.3.4", Err("IPv4 field has octet with leading zero")),
            ("1.2.3", Err("IPv4 address too short")),
            ("::g", Err("each colon-separated field must have at least one digit (at \"g\")")),
            ("1:2", Err("address string too short")),
            ("1::2::3", Err("multiple :: in address (at \":3\")")),
            ("12345::", Err("each group must have 4 or less digits (at \"12345::\")")),
            ("h", Err("unable to parse IP")),
        ] {
            assert_eq!(family(address.as_bytes()).map_err(|e| e.to_string()), want.map_err(str::to_owned), "{address}");
        }
    }
}
