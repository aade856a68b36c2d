//! DSA keys with a modulus of 2048 bits and a subgroup of 256, as sprig's `genPrivateKey "dsa"` makes them.

use num_bigint::BigUint;

use super::Random;
use super::der::{Malformed, Reader, sequence, unsigned};

const MODULUS_BITS: u64 = 2048;
const SUBGROUP_BYTES: usize = 32;
/// Rounds of Miller-Rabin; an error is less likely than 4^-this.
const ROUNDS: usize = 32;

/// Tells whether bytes are a DSA key: version and five numbers.
pub fn check(der: &[u8]) -> Result<(), Malformed> {
    let mut inner = Reader::new(der).enter()?;
    for _ in 0..6 {
        inner.unsigned()?;
    }
    if inner.is_empty() { Ok(()) } else { Err(Malformed) }
}

/// Makes a key: version, p, q, g, y, x.
pub fn generate(random: &dyn Random) -> Vec<u8> {
    let (modulus, order) = parameters(random);
    let cofactor = (&modulus - 1u32) / &order;
    let one = BigUint::from(1u32);
    let power = |base: u32| BigUint::from(base).modpow(&cofactor, &modulus);
    let generator = (2..u32::MAX).map(power).find(|g| *g != one).unwrap_or(one);
    let secret = number(random, SUBGROUP_BYTES) % (&order - 1u32) + 1u32;
    let public = generator.modpow(&secret, &modulus);
    let numbers = [modulus, order, generator, public, secret].map(|n| unsigned(&n.to_bytes_be()));
    sequence(&[&unsigned(&[]), &numbers.concat()])
}

/// Finds primes p and q where q divides p - 1.
fn parameters(random: &dyn Random) -> (BigUint, BigUint) {
    loop {
        let mut q = number(random, SUBGROUP_BYTES);
        q.set_bit(0, true);
        q.set_bit(SUBGROUP_BYTES as u64 * 8 - 1, true);
        if !is_prime(&q, random) {
            continue;
        }
        for _ in 0..4 * MODULUS_BITS {
            let mut p = number(random, MODULUS_BITS as usize / 8);
            p.set_bit(0, true);
            p.set_bit(MODULUS_BITS - 1, true);
            let rest = &p % &q;
            p = p - rest + 1u32;
            if p.bits() == MODULUS_BITS && p.bit(0) && is_prime(&p, random) {
                return (p, q);
            }
        }
    }
}

fn number(random: &dyn Random, bytes: usize) -> BigUint {
    let mut buffer = vec![0; bytes];
    random.fill(&mut buffer);
    BigUint::from_bytes_be(&buffer)
}

/// Tests an odd number by small divisors, then by Miller-Rabin.
fn is_prime(n: &BigUint, random: &dyn Random) -> bool {
    let zero = BigUint::ZERO;
    if (3u32..2000).step_by(2).any(|divisor| n % divisor == zero && *n != BigUint::from(divisor)) {
        return false;
    }
    let one = BigUint::from(1u32);
    let last = n - &one;
    let twos = last.trailing_zeros().unwrap_or(0);
    let odd = &last >> twos;
    let width = (n.bits() / 8) as usize;
    (0..ROUNDS).all(|_| {
        let base = number(random, width) % (&last - 2u32) + 2u32;
        let mut power = base.modpow(&odd, n);
        if power == one || power == last {
            return true;
        }
        (1..twos).any(|_| {
            power = &power * &power % n;
            power == last
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(std::cell::Cell<u64>);

    impl Random for Counter {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                // SplitMix64, so that the test is the same each time.
                let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
                self.0.set(state);
                let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                *byte = ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56) as u8;
            }
        }
    }

    #[test]
    fn primes_are_told_from_other_numbers() {
        let random = Counter(std::cell::Cell::new(1));
        for (n, prime) in [(1_000_003u64, true), (1_000_001, false), (4_294_967_291, true), (3_215_031_751, false)] {
            assert_eq!(is_prime(&BigUint::from(n), &random), prime, "{n}");
        }
    }
}
