//! Password hashes, and passwords that are derived from a master password.

use bcrypt::Version;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::arguments::text;
use super::{Call, Failure, Function, Type};
use crate::value::Value;

/// Go's `bcrypt.DefaultCost`.
const COST: u32 = 10;
/// What bcrypt reads of a password.
const MAX_PASSWORD: usize = 72;
const MASTER_SEED: &[u8] = b"com.lyndir.masterpassword";

const STR: Type = Type::String;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("bcrypt", &[STR], |call, a| Ok(hash(call, text(a, 0))?.into())),
    Function::new("htpasswd", &[STR, STR], htpasswd),
    Function::new("derivePassword", &[Type::Uint32, STR, STR, STR, STR], derive),
];

fn hash(call: &Call<'_>, password: &[u8]) -> Result<String, Failure> {
    call.count_key()?;
    if password.len() > MAX_PASSWORD {
        return Ok("failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".into());
    }
    let mut salt = [0; 16];
    call.env.random.fill(&mut salt);
    match bcrypt::hash_with_salt(password, COST, salt) {
        Ok(parts) => Ok(parts.format_for_version(Version::TwoA)),
        Err(error) => Ok(format!("failed to encrypt string with bcrypt: {error}")),
    }
}

fn htpasswd(call: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    let user = text(a, 0);
    if user.contains(&b':') {
        return Ok([b"invalid username: ", user].concat().into());
    }
    Ok([user, b":", hash(call, text(a, 1))?.as_bytes()].concat().into())
}

/// The forms of derived passwords: each letter stands for a set of characters.
fn forms(kind: &[u8]) -> Option<&'static [&'static str]> {
    Some(match kind {
        b"maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        b"long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        b"medium" => &["CvcnoCvc", "CvcCvcno"],
        b"short" => &["Cvcn"],
        b"basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        b"pin" => &["nnnn"],
        _ => return None,
    })
}

fn set(letter: u8) -> &'static [u8] {
    match letter {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// Derives a password by the Master Password algorithm: scrypt of the password, HMAC of the site.
fn derive(call: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    let counter = match &a[0] {
        Value::Uint64(counter) => *counter as u32,
        _ => 0,
    };
    let (kind, password, user, site) = (text(a, 1), text(a, 2), text(a, 3), text(a, 4));
    let Some(forms) = forms(kind) else {
        return Ok([b"cannot find password template ", kind].concat().into());
    };
    call.count_key()?;
    let failed = |error: &dyn std::fmt::Display| Failure::message(format!("failed to derive password: {error}"));
    let length = |text: &[u8]| (text.len() as u32).to_be_bytes();
    let salt = [MASTER_SEED, &length(user), user].concat();
    let params = scrypt::Params::new(15, 8, 2).map_err(|error| failed(&error))?;
    let mut key = [0; 64];
    scrypt::scrypt(password, &salt, &params, &mut key).map_err(|error| failed(&error))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| failed(&error))?;
    mac.update(&[MASTER_SEED, &length(site), site, &counter.to_be_bytes()].concat());
    let seed = mac.finalize().into_bytes();
    let form = forms[usize::from(seed[0]) % forms.len()];
    let characters = form.bytes().zip(&seed[1..]).map(|(letter, byte)| {
        let set = set(letter);
        set[usize::from(*byte) % set.len()]
    });
    Ok(characters.collect::<Vec<u8>>().into())
}
