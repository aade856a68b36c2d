//! AES in CBC mode, keyed by a password that is cut or padded to 32 bytes.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::arguments::text;
use super::encodings::decode64;
use super::{Call, Failure, Function, Type};
use crate::value::Value;

const BLOCK: usize = 16;

const STR: Type = Type::String;

pub(super) const FUNCTIONS: &[Function] =
    &[Function::new("encryptAES", &[STR, STR], encrypt), Function::new("decryptAES", &[STR, STR], decrypt)];

fn key(password: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let len = password.len().min(key.len());
    key[..len].copy_from_slice(&password[..len]);
    key
}

fn encrypt(call: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    let plain = text(a, 1);
    if plain.is_empty() {
        return Ok("".into());
    }
    let mut iv = [0; BLOCK];
    call.env.random.fill(&mut iv);
    let encryptor = cbc::Encryptor::<Aes256>::new(&key(text(a, 0)).into(), &iv.into());
    let encrypted = encryptor.encrypt_padded_vec::<Pkcs7>(plain);
    Ok(STANDARD.encode([iv.as_slice(), &encrypted].concat()).into())
}

/// Decrypts; sprig takes the last byte for the length of the padding without a look, so a wrong key may fail in odd ways.
fn decrypt(_: &mut Call<'_>, a: &[Value]) -> Result<Value, Failure> {
    if text(a, 1).is_empty() {
        return Ok("".into());
    }
    let encrypted = decode64(text(a, 1)).map_err(|error| Failure::message(error.to_string()))?;
    let Some((iv, encrypted)) = encrypted.split_first_chunk::<BLOCK>() else {
        let len = encrypted.len();
        // Go slices by capacity, which base64 rounds up to whole groups.
        return Err(Failure::message(format!(
            "runtime error: slice bounds out of range [:{BLOCK}] with capacity {}",
            capacity(text(a, 1), len)
        )));
    };
    if encrypted.len() % BLOCK != 0 {
        return Err(Failure::message("crypto/cipher: input not full blocks"));
    }
    let decryptor = cbc::Decryptor::<Aes256>::new(&key(text(a, 0)).into(), &(*iv).into());
    let plain = decryptor
        .decrypt_padded_vec::<aes::cipher::block_padding::NoPadding>(encrypted)
        .map_err(|error| Failure::message(error.to_string()))?;
    let Some(padding) = plain.last() else {
        return Err(Failure::message("runtime error: index out of range [-1]"));
    };
    let end = plain.len() as i64 - i64::from(*padding);
    let Ok(end) = usize::try_from(end) else {
        return Err(Failure::message(format!("runtime error: slice bounds out of range [:{end}]")));
    };
    Ok(plain[..end].to_vec().into())
}

/// What Go's decoder allocated for a text.
fn capacity(encoded: &[u8], decoded: usize) -> usize {
    (encoded.len() / 4 * 3).max(decoded)
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn a_password_is_cut_and_padded() {
        assert_eq!(key(b"ab")[..3], [b'a', b'b', 0]);
        assert_eq!(key(&[1; 40]), [1; 32]);
    }
}
