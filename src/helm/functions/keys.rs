//! Private keys: RSA, ECDSA, Ed25519, and DSA as far as sprig has it (made and read, never used to sign).

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::arguments::text;
use super::der::{self, Malformed, Reader, bit_string, element, sequence, unsigned};
use super::{Call, Failure, Function, Type, dsa, pem};
use crate::value::Value;

const RSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_SHA256_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const EC_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519_OID: &[u8] = &[0x2b, 0x65, 0x70];

pub(super) const FUNCTIONS: &[Function] = &[Function::new("genPrivateKey", &[Type::String], gen_private_key)];

/// Why a text is no private key; the texts are sprig's, what follows a colon is our own.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("no PEM data in input")]
    NoPem,
    #[error("no private key data in PEM block of type {0}")]
    NotPrivate(String),
    #[error("invalid private key type {0}")]
    UnknownType(String),
    #[error("decoding PEM as PKCS#8: x509: failed to parse private key")]
    Pkcs8,
    #[error("parsing {0} private key from PEM: x509: failed to parse private key")]
    Refused(&'static str),
}

/// An elliptic curve.
#[derive(Clone, Copy)]
pub struct Curve {
    oid: &'static [u8],
    signing: &'static EcdsaSigningAlgorithm,
    signature_oid: &'static [u8],
    size: usize,
}

const CURVES: [Curve; 3] = [
    Curve {
        oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
        signing: &ECDSA_P256_SHA256_ASN1_SIGNING,
        signature_oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
        size: 32,
    },
    Curve {
        oid: &[0x2b, 0x81, 0x04, 0x00, 0x22],
        signing: &ECDSA_P384_SHA384_ASN1_SIGNING,
        signature_oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
        size: 48,
    },
    Curve {
        oid: &[0x2b, 0x81, 0x04, 0x00, 0x23],
        signing: &ECDSA_P521_SHA512_ASN1_SIGNING,
        signature_oid: &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
        size: 66,
    },
];

/// A private key that can be written and, but for DSA, sign.
pub enum PrivateKey {
    Rsa { pkcs1: Vec<u8>, pair: Box<RsaKeyPair> },
    Ec { curve: Curve, pair: Box<EcdsaKeyPair> },
    Ed25519(Box<Ed25519KeyPair>),
    Dsa(Vec<u8>),
}

/// A key could not be made or used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CryptoError(pub &'static str);

impl PrivateKey {
    pub fn generate_rsa(size: KeySize) -> Result<Self, CryptoError> {
        let failed = |_| CryptoError("crypto/rsa: key generation failed");
        let pair = RsaKeyPair::generate(size).map_err(failed)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
        let (_, pkcs1) = split_pkcs8(pkcs8.as_ref()).map_err(|_| CryptoError("crypto/rsa: key generation failed"))?;
        Ok(Self::Rsa { pkcs1: pkcs1.to_vec(), pair: Box::new(pair) })
    }

    fn generate_ec() -> Result<Self, CryptoError> {
        let [curve, ..] = CURVES;
        let pair =
            EcdsaKeyPair::generate(curve.signing).map_err(|_| CryptoError("crypto/ecdsa: key generation failed"))?;
        Ok(Self::Ec { curve, pair: Box::new(pair) })
    }

    fn generate_ed25519() -> Result<Self, CryptoError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| CryptoError("crypto/ed25519: key generation failed"))?;
        Ok(Self::Ed25519(Box::new(pair)))
    }

    /// Reads the first PEM block of a text.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let block = pem::decode(text).ok_or(KeyError::NoPem)?;
        if block.label == "PRIVATE KEY" {
            return Self::from_pkcs8(&block.bytes).ok_or(KeyError::Pkcs8);
        }
        let Some(kind) = block.label.strip_suffix(" PRIVATE KEY") else {
            return Err(KeyError::NotPrivate(block.label));
        };
        match kind {
            "RSA" => Self::from_pkcs1(&block.bytes).ok_or(KeyError::Refused("RSA")),
            "EC" => Self::from_sec1(&block.bytes, None).ok_or(KeyError::Refused("EC")),
            "DSA" => dsa::check(&block.bytes).map(|()| Self::Dsa(block.bytes)).map_err(|_| KeyError::Refused("DSA")),
            other => Err(KeyError::UnknownType(other.to_owned())),
        }
    }

    fn from_pkcs1(der: &[u8]) -> Option<Self> {
        let pair = RsaKeyPair::from_der(der).ok()?;
        Some(Self::Rsa { pkcs1: der.to_vec(), pair: Box::new(pair) })
    }

    /// Reads an `ECPrivateKey`; the curve is in it, or known from the PKCS#8 envelope.
    fn from_sec1(der: &[u8], curve: Option<Curve>) -> Option<Self> {
        let mut inner = Reader::new(der).enter().ok()?;
        inner.unsigned().ok()?;
        inner.expect(der::OCTET_STRING).ok()?;
        let curve = match inner.peek_tag() {
            Some(0xa0) => {
                let oid = Reader::new(inner.expect(0xa0).ok()?).expect(der::OID).ok()?;
                CURVES.into_iter().find(|curve| curve.oid == oid)?
            }
            _ => curve?,
        };
        let pair = EcdsaKeyPair::from_private_key_der(curve.signing, der).ok()?;
        Some(Self::Ec { curve, pair: Box::new(pair) })
    }

    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let (algorithm, key) = split_pkcs8(der).ok()?;
        let mut algorithm = Reader::new(algorithm);
        match algorithm.expect(der::OID).ok()? {
            RSA_OID => Self::from_pkcs1(key),
            EC_OID => {
                let oid = algorithm.expect(der::OID).ok()?;
                let curve = CURVES.into_iter().find(|curve| curve.oid == oid)?;
                let pair = EcdsaKeyPair::from_private_key_der(curve.signing, der).ok()?;
                Some(Self::Ec { curve, pair: Box::new(pair) })
            }
            ED25519_OID => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
                Some(Self::Ed25519(Box::new(pair)))
            }
            _ => None,
        }
    }

    /// Writes the key as sprig does: PKCS#1, SEC 1, or for Ed25519 PKCS#8.
    pub fn to_pem(&self) -> Result<String, CryptoError> {
        const FAILED: CryptoError = CryptoError("x509: failed to encode private key");
        Ok(match self {
            Self::Rsa { pkcs1, .. } => pem::encode("RSA PRIVATE KEY", pkcs1),
            Self::Ec { curve, pair } => {
                let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(|_| FAILED)?;
                pem::encode("EC PRIVATE KEY", &sec1(curve, scalar.as_ref(), pair.public_key().as_ref()))
            }
            Self::Ed25519(pair) => pem::encode("PRIVATE KEY", pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref()),
            Self::Dsa(der) => pem::encode("DSA PRIVATE KEY", der),
        })
    }

    /// Returns the key's bits as a certificate holds them, and the algorithm identifier.
    pub fn public(&self) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        Ok(match self {
            Self::Rsa { pair, .. } => {
                (pair.public_key().as_ref().to_vec(), algorithm(RSA_OID, Some(&element(der::NULL, b""))))
            }
            Self::Ec { curve, pair } => {
                (pair.public_key().as_ref().to_vec(), algorithm(EC_OID, Some(&element(der::OID, curve.oid))))
            }
            Self::Ed25519(pair) => (pair.public_key().as_ref().to_vec(), algorithm(ED25519_OID, None)),
            Self::Dsa(_) => return Err(CryptoError("x509: unsupported public key type: *dsa.PublicKey")),
        })
    }

    /// Returns the identifier of the algorithm that it signs with.
    pub fn signature_algorithm(&self) -> Result<Vec<u8>, CryptoError> {
        Ok(match self {
            Self::Rsa { .. } => algorithm(RSA_SHA256_OID, Some(&element(der::NULL, b""))),
            Self::Ec { curve, .. } => algorithm(curve.signature_oid, None),
            Self::Ed25519(_) => algorithm(ED25519_OID, None),
            Self::Dsa(_) => {
                return Err(CryptoError("x509: certificate private key does not implement crypto.Signer"));
            }
        })
    }

    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        const FAILED: CryptoError = CryptoError("x509: signing failed");
        let random = SystemRandom::new();
        match self {
            Self::Rsa { pair, .. } => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| FAILED)?;
                Ok(signature)
            }
            Self::Ec { pair, .. } => Ok(pair.sign(&random, message).map_err(|_| FAILED)?.as_ref().to_vec()),
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Dsa(_) => Err(FAILED),
        }
    }
}

fn algorithm(oid: &[u8], parameters: Option<&[u8]>) -> Vec<u8> {
    sequence(&[&element(der::OID, oid), parameters.unwrap_or_default()])
}

/// Takes the PKCS#8 envelope apart: content of the algorithm, bytes of the key.
fn split_pkcs8(der: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut inner = Reader::new(der).enter()?;
    inner.unsigned()?;
    let algorithm = inner.expect(der::SEQUENCE)?;
    Ok((algorithm, inner.expect(der::OCTET_STRING)?))
}

fn sec1(curve: &Curve, scalar: &[u8], public: &[u8]) -> Vec<u8> {
    let mut padded = vec![0; curve.size.saturating_sub(scalar.len())];
    padded.extend_from_slice(scalar);
    sequence(&[
        &unsigned(&[1]),
        &element(der::OCTET_STRING, &padded),
        &element(0xa0, &element(der::OID, curve.oid)),
        &element(0xa1, &bit_string(public)),
    ])
}

fn gen_private_key(call: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    call.count_key()?;
    let key = match text(a, 0) {
        b"" | b"rsa" => PrivateKey::generate_rsa(KeySize::Rsa4096),
        b"ecdsa" => PrivateKey::generate_ec(),
        b"ed25519" => PrivateKey::generate_ed25519(),
        b"dsa" => Ok(PrivateKey::Dsa(dsa::generate(call.env.random))),
        other => return Ok([b"Unknown type ", other].concat().into()),
    };
    Ok(match key.and_then(|key| key.to_pem()) {
        Ok(pem) => pem.into(),
        Err(error) => format!("failed to generate private key: {error}").into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_are_read_back() {
        for key in
            [PrivateKey::generate_rsa(KeySize::Rsa2048), PrivateKey::generate_ec(), PrivateKey::generate_ed25519()]
        {
            let key = key.expect("generated");
            let pem = key.to_pem().expect("encoded");
            let again = PrivateKey::parse(pem.as_bytes()).expect("parsed");
            assert_eq!(again.to_pem().expect("encoded"), pem);
            assert_eq!(again.public().expect("public"), key.public().expect("public"));
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        for (label, want) in [
            ("CERTIFICATE", "no private key data in PEM block of type CERTIFICATE"),
            ("X PRIVATE KEY", "invalid private key type X"),
            ("RSA PRIVATE KEY", "parsing RSA private key from PEM: x509: failed to parse private key"),
        ] {
            let error = PrivateKey::parse(pem::encode(label, b"x").as_bytes()).err().expect("refused");
            assert_eq!(error.to_string(), want);
        }
        assert_eq!(PrivateKey::parse(b"notpem").err(), Some(KeyError::NoPem));
    }
}
