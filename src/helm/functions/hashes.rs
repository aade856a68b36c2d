//! Checksums, in hexadecimal but for Adler-32, which is decimal.

use data_encoding::HEXLOWER;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::arguments::text;
use super::{Function, Type};

const STR: Type = Type::String;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("sha1sum", &[STR], |_, a| Ok(HEXLOWER.encode(&Sha1::digest(text(a, 0))).into())),
    Function::new("sha256sum", &[STR], |_, a| Ok(HEXLOWER.encode(&Sha256::digest(text(a, 0))).into())),
    Function::new("sha512sum", &[STR], |_, a| Ok(HEXLOWER.encode(&Sha512::digest(text(a, 0))).into())),
    Function::new("adler32sum", &[STR], |_, a| Ok(adler32(text(a, 0)).to_string().into())),
];

fn adler32(text: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (1u32, 0u32);
    for byte in text {
        low = (low + u32::from(*byte)) % MODULUS;
        high = (high + low) % MODULUS;
    }
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::adler32;

    #[test]
    fn the_sum_of_nothing_is_one() {
        assert_eq!(adler32(b""), 1);
        assert_eq!(adler32(b"hello"), 103_547_413);
    }
}
