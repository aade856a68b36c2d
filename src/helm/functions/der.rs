//! As much of ASN.1's DER as keys and certificates need.

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const NULL: u8 = 0x05;
pub const OID: u8 = 0x06;
pub const UTF8_STRING: u8 = 0x0c;
pub const PRINTABLE_STRING: u8 = 0x13;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// Bytes that are not the structure they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed DER")]
pub struct Malformed;

/// Writes one element: tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut out = vec![tag];
    if len < 0x80 {
        out.push(len as u8);
    } else {
        let bytes = len.to_be_bytes();
        let used = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
        out.push(0x80 | used.len() as u8);
        out.extend_from_slice(used);
    }
    out.extend_from_slice(content);
    out
}

/// Writes a sequence of written elements.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// Writes a number that is not negative, given in big-endian bytes.
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let used = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
    match used.first() {
        None => element(INTEGER, &[0]),
        Some(first) if *first >= 0x80 => element(INTEGER, &[&[0], used].concat()),
        Some(_) => element(INTEGER, used),
    }
}

/// Writes whole bytes as a bit string.
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes].concat())
}

/// Reads elements one after another.
#[derive(Clone, Copy)]
pub struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    pub fn new(der: &'d [u8]) -> Self {
        Self(der)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn peek_tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Reads the next element: its tag, its content, and both with the length.
    pub fn any(&mut self) -> Result<(u8, &'d [u8], &'d [u8]), Malformed> {
        let [tag, len, rest @ ..] = self.0 else { return Err(Malformed) };
        let (len, rest) = if *len < 0x80 {
            (usize::from(*len), rest)
        } else {
            let count = usize::from(*len & 0x7f);
            let bytes = rest.get(..count).filter(|_| (1..=4).contains(&count)).ok_or(Malformed)?;
            (bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b)), &rest[count..])
        };
        let content = rest.get(..len).ok_or(Malformed)?;
        let whole = &self.0[..self.0.len() - rest.len() + len];
        self.0 = &rest[len..];
        Ok((*tag, content, whole))
    }

    /// Reads the content of an element of this tag.
    pub fn expect(&mut self, tag: u8) -> Result<&'d [u8], Malformed> {
        match self.any()? {
            (found, content, _) if found == tag => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// Reads a sequence and goes into it.
    pub fn enter(&mut self) -> Result<Self, Malformed> {
        self.expect(SEQUENCE).map(Self)
    }

    /// Reads a number's bytes without leading zeros.
    pub fn unsigned(&mut self) -> Result<&'d [u8], Malformed> {
        let bytes = self.expect(INTEGER)?;
        Ok(&bytes[bytes.iter().take_while(|b| **b == 0).count()..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let long = vec![7; 300];
        let der = sequence(&[&unsigned(&[0, 0x80]), &element(OCTET_STRING, &long)]);
        let mut inner = Reader::new(&der).enter().expect("a sequence");
        assert_eq!(inner.unsigned(), Ok(&[0x80u8][..]));
        assert_eq!(inner.expect(OCTET_STRING), Ok(&long[..]));
        assert!(inner.is_empty());
    }

    #[test]
    fn a_length_beyond_the_end_is_malformed() {
        for der in [&[0x30][..], &[0x30, 5, 1], &[0x30, 0x85, 0, 0, 0, 0, 1, 0], &[0x30, 0x80]] {
            assert!(Reader::new(der).any().is_err());
        }
    }
}
