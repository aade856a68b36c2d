//! X.509 certificates as sprig makes them with Go's crypto/x509: version 3, the same extensions in the same order.

use std::net::IpAddr;

use aws_lc_rs::rsa::KeySize;
use sha2::{Digest, Sha256};

use super::arguments::{int, text};
use super::certificate_reading::{self, Parent};
use super::clock::{Time, Zone};
use super::der::{self, bit_string, element, sequence, unsigned};
use super::encodings::decode64;
use super::keys::{CryptoError, PrivateKey};
use super::{Call, Failure, Function, Type, layouts, pem};
use crate::value::quote::quoted as quote;
use crate::value::{ListType, Object, Str, Value};

type Result<T = Value> = std::result::Result<T, Failure>;

const INT: Type = Type::Int;
const STR: Type = Type::String;
const LIST: Type = Type::List(ListType::Any);
const CERTIFICATE: Type = Type::Object("sprig.certificate");

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("buildCustomCert", &[STR, STR], build_custom),
    Function::new("genCA", &[STR, INT], |call, a| gen_ca(call, a, &new_key(call)?)),
    Function::new("genCAWithKey", &[STR, INT, STR], |call, a| gen_ca(call, a, &given_key(a, 2)?)),
    Function::new("genSelfSignedCert", &[STR, LIST, LIST, INT], |call, a| gen_self_signed(call, a, &new_key(call)?)),
    Function::new("genSelfSignedCertWithKey", &[STR, LIST, LIST, INT, STR], |call, a| {
        gen_self_signed(call, a, &given_key(a, 4)?)
    }),
    Function::new("genSignedCert", &[STR, LIST, LIST, INT, CERTIFICATE], |call, a| {
        gen_signed(call, a, &new_key(call)?)
    }),
    Function::new("genSignedCertWithKey", &[STR, LIST, LIST, INT, CERTIFICATE, STR], |call, a| {
        gen_signed(call, a, &given_key(a, 5)?)
    }),
];

/// sprig's `certificate`: both in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    cert: Str,
    key: Str,
}

impl Object for Certificate {
    fn type_name(&self) -> &'static str {
        "sprig.certificate"
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Cert", self.cert.clone().into()), ("Key", self.key.clone().into())]
    }

    fn equal(&self, other: &dyn Object) -> bool {
        (other as &dyn std::any::Any).downcast_ref() == Some(self)
    }
}

fn new_key(call: &Call<'_>) -> Result<PrivateKey> {
    call.count_key()?;
    PrivateKey::generate_rsa(KeySize::Rsa2048)
        .map_err(|error| Failure::message(format!("error generating rsa key: {error}")))
}

fn given_key(a: &[Value], at: usize) -> Result<PrivateKey> {
    PrivateKey::parse(text(a, at)).map_err(|error| Failure::message(format!("parsing private key: {error}")))
}

/// Holds a certificate and a key that were given in base 64 against their forms.
fn build_custom(_: &mut Call<'_>, a: &[Value]) -> Result {
    let failed = |text: &str| Failure::message(text);
    let cert = decode64(text(a, 0)).map_err(|_| failed("unable to decode base64 certificate"))?;
    let key = decode64(text(a, 1)).map_err(|_| failed("unable to decode base64 private key"))?;
    let block = pem::decode(&cert).ok_or_else(|| failed("unable to decode certificate"))?;
    parse_certificate(&block.bytes)?;
    PrivateKey::parse(&key).map_err(|error| Failure::message(format!("error parsing private key: {error}")))?;
    Ok(Value::object(Certificate { cert: cert.into(), key: key.into() }))
}

fn gen_ca(call: &Call<'_>, a: &[Value], key: &PrivateKey) -> Result {
    let template = Template::new(call, text(a, 0), &Value::Nil, &Value::Nil, int(a, 1))?;
    finish(&Template { is_ca: true, ..template }, key, None)
}

fn gen_self_signed(call: &Call<'_>, a: &[Value], key: &PrivateKey) -> Result {
    finish(&Template::new(call, text(a, 0), &a[1], &a[2], int(a, 3))?, key, None)
}

fn gen_signed(call: &Call<'_>, a: &[Value], key: &PrivateKey) -> Result {
    let Some(ca) = a[4].downcast::<Certificate>() else {
        return Err(Failure::message("unable to decode certificate"));
    };
    let block = pem::decode(&ca.cert).ok_or_else(|| Failure::message("unable to decode certificate"))?;
    let parent = parse_certificate(&block.bytes)?;
    let signer =
        PrivateKey::parse(&ca.key).map_err(|error| Failure::message(format!("error parsing private key: {error}")))?;
    let template = Template::new(call, text(a, 0), &a[1], &a[2], int(a, 3))?;
    finish(&template, key, Some((&parent, &signer)))
}

fn finish(template: &Template, key: &PrivateKey, signer: Option<(&Parent, &PrivateKey)>) -> Result {
    let der = template.sign(key, signer).map_err(|error| match error {
        SignError::PublicKey => {
            Failure::message("error retrieving public key from signee key: unable to get public key")
        }
        error => Failure::message(format!("error creating certificate: {error}")),
    })?;
    let key = key.to_pem().map_err(|error| Failure::message(format!("error pem-encoding key: {error}")))?;
    Ok(Value::object(Certificate { cert: pem::encode("CERTIFICATE", &der).into(), key: key.into() }))
}

/// Why Go would refuse to make a certificate.
#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error("no public key")]
    PublicKey,
    #[error("{0}")]
    Crypto(#[from] CryptoError),
    #[error("x509: provided PrivateKey doesn't match parent's PublicKey")]
    WrongSigner,
    #[error("x509: {0} cannot be encoded as an IA5String")]
    Name(String),
    #[error("asn1: string not valid UTF-8")]
    CommonName,
    #[error("cannot represent time as GeneralizedTime")]
    Time,
}

fn parse_certificate(der: &[u8]) -> Result<Parent> {
    certificate_reading::parse(der)
        .map_err(|error| Failure::message(format!("error parsing certificate: decodedCert.Bytes: {error}")))
}

/// What a new certificate says.
struct Template {
    common_name: Vec<u8>,
    addresses: Vec<IpAddr>,
    names: Vec<Vec<u8>>,
    serial: [u8; 16],
    not_before: i64,
    not_after: i64,
    is_ca: bool,
}

impl Template {
    fn new(call: &Call<'_>, common_name: &[u8], ips: &Value, names: &Value, days: i64) -> Result<Self> {
        let addresses = items(ips).iter().map(address).collect::<Result<_>>()?;
        let names = items(names).iter().map(alternate_name).collect::<Result<Vec<_>>>()?;
        let mut serial = [0; 16];
        call.env.random.fill(&mut serial);
        let now = call.env.now.as_nanosecond();
        // Go multiplies in int64 nanoseconds, which overflows after 292 years.
        let valid = days.wrapping_mul(24 * 3_600_000_000_000);
        let second = |nanos: i128| nanos.div_euclid(1_000_000_000) as i64;
        Ok(Self {
            common_name: common_name.to_vec(),
            addresses,
            names: names.into_iter().map(|name: Str| Vec::from(name.as_bytes())).collect(),
            serial,
            not_before: second(now),
            not_after: second(now + i128::from(valid)),
            is_ca: false,
        })
    }

    fn subject(&self) -> std::result::Result<Vec<u8>, SignError> {
        let name = std::str::from_utf8(&self.common_name).map_err(|_| SignError::CommonName)?;
        if name.is_empty() {
            return Ok(sequence(&[]));
        }
        let printable = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?*&".contains(c);
        let tag = if name.chars().all(printable) { der::PRINTABLE_STRING } else { der::UTF8_STRING };
        let attribute = sequence(&[&element(der::OID, &[0x55, 4, 3]), &element(tag, name.as_bytes())]);
        Ok(sequence(&[&element(der::SET, &attribute)]))
    }

    /// Writes the certificate, signed by `signer` or by its own key.
    fn sign(
        &self,
        key: &PrivateKey,
        signer: Option<(&Parent, &PrivateKey)>,
    ) -> std::result::Result<Vec<u8>, SignError> {
        let (public_key, key_algorithm) = key.public().map_err(|_| SignError::PublicKey)?;
        let signing_key = signer.map_or(key, |(_, signing_key)| signing_key);
        let algorithm = signing_key.signature_algorithm()?;
        let subject = self.subject()?;
        let issuer = signer.map_or(subject.as_slice(), |(parent, _)| &parent.subject);
        if let Some((parent, signing_key)) = signer
            && signing_key.public()?.0 != parent.public_key
        {
            return Err(SignError::WrongSigner);
        }
        let authority = signer.filter(|_| issuer != subject).and_then(|(parent, _)| parent.key_id.as_deref());
        let extensions = self.extensions(&public_key, authority, subject.len() == 2)?;
        let tbs = sequence(&[
            &element(0xa0, &unsigned(&[2])),
            &unsigned(&self.serial),
            &algorithm,
            issuer,
            &sequence(&[&time(self.not_before)?, &time(self.not_after)?]),
            &subject,
            &sequence(&[&key_algorithm, &bit_string(&public_key)]),
            &element(0xa3, &extensions),
        ]);
        let signature = signing_key.sign(&tbs)?;
        Ok(sequence(&[&tbs, &algorithm, &bit_string(&signature)]))
    }

    fn extensions(
        &self,
        public_key: &[u8],
        authority: Option<&[u8]>,
        no_subject: bool,
    ) -> std::result::Result<Vec<u8>, SignError> {
        // digitalSignature and keyEncipherment, for an authority keyCertSign too.
        let usage: [u8; 2] = if self.is_ca { [2, 0xa4] } else { [5, 0xa0] };
        let purpose = |last| element(der::OID, &[0x2b, 6, 1, 5, 5, 7, 3, last]);
        let basic = if self.is_ca { element(0x01, &[0xff]) } else { Vec::new() };
        let mut all = vec![
            extension(15, true, &element(der::BIT_STRING, &usage)),
            extension(37, false, &sequence(&[&purpose(1), &purpose(2)])),
            extension(19, true, &sequence(&[&basic])),
        ];
        if self.is_ca {
            let id = &Sha256::digest(public_key)[..20];
            all.push(extension(14, false, &element(der::OCTET_STRING, id)));
        }
        if let Some(id) = authority {
            all.push(extension(35, false, &sequence(&[&element(0x80, id)])));
        }
        if !self.names.is_empty() || !self.addresses.is_empty() {
            all.push(extension(17, no_subject, &self.alternative_names()?));
        }
        Ok(element(der::SEQUENCE, &all.concat()))
    }

    fn alternative_names(&self) -> std::result::Result<Vec<u8>, SignError> {
        let mut all = Vec::new();
        for name in &self.names {
            if !name.is_ascii() {
                return Err(SignError::Name(quote(name)));
            }
            all.extend(element(0x82, name));
        }
        for address in &self.addresses {
            all.extend(match address.to_canonical() {
                IpAddr::V4(v4) => element(0x87, &v4.octets()),
                IpAddr::V6(v6) => element(0x87, &v6.octets()),
            });
        }
        Ok(element(der::SEQUENCE, &all))
    }
}

/// Writes an extension of the id-ce arc.
fn extension(number: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { element(0x01, &[0xff]) } else { Vec::new() };
    sequence(&[&element(der::OID, &[0x55, 0x1d, number]), &flag, &element(der::OCTET_STRING, value)])
}

fn time(seconds: i64) -> std::result::Result<Vec<u8>, SignError> {
    let time = Time::from_unix(seconds, 0, Zone::Utc);
    let (tag, layout): (u8, &[u8]) = match time.civil().year {
        1950..2050 => (der::UTC_TIME, b"060102150405Z"),
        0..=9999 => (der::GENERALIZED_TIME, b"20060102150405Z"),
        _ => return Err(SignError::Time),
    };
    Ok(element(tag, &layouts::format(&time, layout)))
}

/// The items of a list; nil has none.
fn items(list: &Value) -> &[Value] {
    if let Value::List(list) = list { list } else { &[] }
}

fn address(value: &Value) -> Result<IpAddr> {
    let Some(text) = value.as_str() else {
        return Err(Failure::message(format!("error parsing ip: {} is not a string", value.to_text()?)));
    };
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Failure::message(format!("error parsing ip: {text}")))
}

fn alternate_name(value: &Value) -> Result<Str> {
    let Some(text) = value.as_str() else {
        let shown = value.to_text()?;
        return Err(Failure::message(format!("error processing alternate dns name: {shown} is not a string")));
    };
    Ok(text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(is_ca: bool) -> Template {
        Template {
            common_name: b"name".to_vec(),
            addresses: vec!["10.0.0.1".parse().expect("an address")],
            names: vec![b"a.example".to_vec()],
            serial: [0x80; 16],
            not_before: 1_700_000_000,
            not_after: 1_800_000_000,
            is_ca,
        }
    }

    #[test]
    fn a_signed_certificate_names_its_signer() {
        let ca_key = PrivateKey::generate_rsa(KeySize::Rsa2048).expect("a key");
        let ca = Template { common_name: b"ca".to_vec(), ..template(true) }.sign(&ca_key, None).expect("an authority");
        let parent = certificate_reading::parse(&ca).expect("parsed");
        let key = PrivateKey::generate_rsa(KeySize::Rsa2048).expect("a key");
        let signed = template(false).sign(&key, Some((&parent, &ca_key))).expect("signed");
        let id = parent.key_id.clone().expect("an authority has a key id");
        assert!(signed.windows(id.len()).any(|window| window == id));
        assert!(matches!(template(false).sign(&key, Some((&parent, &key))), Err(SignError::WrongSigner)));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        for der in [&b""[..], b"0", b"0\x03\x02\x01\x00", &[0x30; 64]] {
            assert!(certificate_reading::parse(der).is_err());
        }
    }
}
