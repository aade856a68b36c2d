//! Reading X.509 certificates in the order of Go's crypto/x509, whose texts name the first part that is wrong.

use super::der::{self, Malformed, Reader};

/// What of a signer's certificate goes into those it signs.
pub struct Parent {
    pub subject: Vec<u8>,
    pub public_key: Vec<u8>,
    pub key_id: Option<Vec<u8>>,
}

/// The part of a certificate that is wrong, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x509: {0}")]
pub struct CertificateError(&'static str);

type Result<T> = std::result::Result<T, CertificateError>;

/// Words a malformed part.
trait Part<T> {
    fn called(self, text: &'static str) -> Result<T>;
}

impl<T> Part<T> for std::result::Result<T, Malformed> {
    fn called(self, text: &'static str) -> Result<T> {
        self.map_err(|Malformed| CertificateError(text))
    }
}

/// Reads a certificate from DER.
pub fn parse(der: &[u8]) -> Result<Parent> {
    let mut input = Reader::new(der);
    let mut whole = input.enter().called("malformed certificate")?;
    let mut tbs = whole.enter().called("malformed tbs certificate")?;
    let version = version(&mut tbs)?;
    let serial = tbs.expect(der::INTEGER).and_then(minimal).called("malformed serial number")?;
    if serial[0] & 0x80 != 0 {
        return Err(CertificateError("negative serial number"));
    }
    let inner = tbs.expect(der::SEQUENCE).called("malformed signature algorithm identifier")?;
    let outer = whole.expect(der::SEQUENCE).called("malformed algorithm identifier")?;
    if inner != outer {
        return Err(CertificateError("inner and outer signature algorithm identifiers don't match"));
    }
    algorithm(inner)?;
    name(tbs.expect(der::SEQUENCE).called("malformed issuer")?)?;
    validity(tbs.enter().called("malformed validity")?)?;
    // Go's text for the subject, too.
    let (tag, subject_parts, subject) = tbs.any().called("malformed issuer")?;
    if tag != der::SEQUENCE {
        return Err(CertificateError("malformed issuer"));
    }
    name(subject_parts)?;
    let public_key = public_key(tbs.enter().called("malformed spki")?)?;
    let key_id = if version == 3 { extensions(&mut tbs)? } else { None };
    bits(&mut whole).called("malformed signature")?;
    if !input.is_empty() {
        return Err(CertificateError("trailing data"));
    }
    Ok(Parent { subject: subject.to_vec(), public_key, key_id })
}

/// Reads the version, counted from 1.
fn version(tbs: &mut Reader<'_>) -> Result<u8> {
    const TEXT: &str = "malformed version";
    if tbs.peek_tag() != Some(0xa0) {
        return Ok(1);
    }
    let mut inner = Reader::new(tbs.expect(0xa0).called(TEXT)?);
    let number = inner.expect(der::INTEGER).and_then(minimal).called(TEXT)?;
    match number {
        _ if !inner.is_empty() || number[0] & 0x80 != 0 || number.len() > 8 => Err(CertificateError(TEXT)),
        [number @ 0..=2] => Ok(number + 1),
        _ => Err(CertificateError("invalid version")),
    }
}

/// Holds a number against DER: at least one byte, and none too many.
fn minimal(bytes: &[u8]) -> std::result::Result<&[u8], Malformed> {
    match bytes {
        [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(Malformed),
        bytes => Ok(bytes),
    }
}

fn algorithm(content: &[u8]) -> Result<()> {
    let mut parts = Reader::new(content);
    parts.expect(der::OID).called("malformed OID")?;
    if !parts.is_empty() {
        parts.any().called("malformed parameters")?;
    }
    Ok(())
}

fn name(content: &[u8]) -> Result<()> {
    let mut names = Reader::new(content);
    while !names.is_empty() {
        let mut set = Reader::new(names.expect(der::SET).called("invalid RDNSequence")?);
        while !set.is_empty() {
            let mut attribute = set.enter().called("invalid RDNSequence: invalid attribute")?;
            attribute.expect(der::OID).called("invalid RDNSequence: invalid attribute type")?;
            attribute.any().called("invalid RDNSequence: invalid attribute value")?;
        }
    }
    Ok(())
}

fn validity(mut times: Reader<'_>) -> Result<()> {
    for _ in 0..2 {
        let (tag, text) = match times.peek_tag() {
            Some(der::UTC_TIME) => (der::UTC_TIME, "malformed UTCTime"),
            Some(der::GENERALIZED_TIME) => (der::GENERALIZED_TIME, "malformed GeneralizedTime"),
            _ => return Err(CertificateError("unsupported time format")),
        };
        times.expect(tag).called(text)?;
    }
    Ok(())
}

fn public_key(mut info: Reader<'_>) -> Result<Vec<u8>> {
    algorithm(info.expect(der::SEQUENCE).called("malformed public key algorithm identifier")?)?;
    bits(&mut info).map(<[u8]>::to_vec).called("malformed subjectPublicKey")
}

/// Reads a string of whole bytes' bits.
fn bits<'d>(from: &mut Reader<'d>) -> std::result::Result<&'d [u8], Malformed> {
    match from.expect(der::BIT_STRING)?.split_first() {
        Some((0, bytes)) => Ok(bytes),
        _ => Err(Malformed),
    }
}

/// Reads the extensions after what is optional before them; returns the subject's key identifier.
fn extensions(tbs: &mut Reader<'_>) -> Result<Option<Vec<u8>>> {
    for (tag, text) in [(0x81, "malformed issuerUniqueID"), (0x82, "malformed subjectUniqueID")] {
        if tbs.peek_tag() == Some(tag) {
            tbs.any().called(text)?;
        }
    }
    if tbs.peek_tag() != Some(0xa3) {
        return Ok(None);
    }
    let mut all =
        Reader::new(tbs.expect(0xa3).called("malformed extensions")?).enter().called("malformed extensions")?;
    let mut key_id = None;
    while !all.is_empty() {
        let mut extension = all.enter().called("malformed extension")?;
        let oid = extension.expect(der::OID).called("malformed extension OID field")?;
        if extension.peek_tag() == Some(der::BOOLEAN) {
            extension.expect(der::BOOLEAN).called("malformed extension critical field")?;
        }
        let value = extension.expect(der::OCTET_STRING).called("malformed extension value field")?;
        if oid == [0x55, 0x1d, 14] {
            let id = Reader::new(value).expect(der::OCTET_STRING).called("invalid subject key identifier")?;
            key_id = Some(id.to_vec());
        }
    }
    Ok(key_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::der::{element, sequence, unsigned};

    #[test]
    fn the_first_wrong_part_is_named() {
        let serial = unsigned(&[1]);
        let algorithm = sequence(&[&element(der::OID, &[0x2a, 3])]);
        let tbs = |parts: &[&[u8]]| sequence(&[&sequence(parts), &algorithm]);
        for (der, want) in [
            (b"x".to_vec(), "malformed certificate"),
            (sequence(&[&serial]), "malformed tbs certificate"),
            (tbs(&[&element(0xa0, &unsigned(&[9]))]), "invalid version"),
            (tbs(&[&element(0xa0, &unsigned(&[2]))]), "malformed serial number"),
            (tbs(&[&element(der::INTEGER, &[0x80])]), "negative serial number"),
            (tbs(&[&serial]), "malformed signature algorithm identifier"),
            (tbs(&[&serial, &sequence(&[])]), "inner and outer signature algorithm identifiers don't match"),
            (tbs(&[&serial, &algorithm]), "malformed issuer"),
            (tbs(&[&serial, &algorithm, &sequence(&[])]), "malformed validity"),
            (tbs(&[&serial, &algorithm, &sequence(&[]), &sequence(&[&serial])]), "unsupported time format"),
        ] {
            assert_eq!(parse(&der).err(), Some(CertificateError(want)), "{want}");
        }
    }
}
