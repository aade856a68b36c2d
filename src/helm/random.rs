//! The system's randomness, for renders that need no fixed one.

use crate::functions::Random;

/// The random generator of the cryptographic library.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // AWS-LC's generator ends the process rather than fail.
        let filled = aws_lc_rs::rand::fill(bytes);
        debug_assert!(filled.is_ok(), "the system gives random bytes");
    }
}
