//! Which parts of the code an input reached, in a build that counts them (`make fuzz` says how); in others there are none.

#![allow(unsafe_code, reason = "LLVM hands the counters over as addresses of memory that lives as long as the process")]

use std::slice;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

/// The counters of each part of the program: one for each edge between basic blocks.
static COUNTERS: Mutex<Vec<&'static [AtomicU8]>> = Mutex::new(Vec::new());

/// Called by each instrumented part of the program before `main`, with its counters.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *const AtomicU8, end: *const AtomicU8) {
    if start.is_null() || start >= end {
        return;
    }
    // SAFETY: LLVM passes the two ends of a static array of bytes, which nothing frees or moves. The code that counts
    // writes them without synchronization, as one thread does while the other waits.
    let counters = unsafe { slice::from_raw_parts(start, end.offset_from_unsigned(start)) };
    if let Ok(mut known) = COUNTERS.lock()
        && known.iter().all(|part| part.as_ptr() != start)
    {
        known.push(counters);
    }
}

/// The edges that inputs have reached so far, with how often: each in classes of 1, 2, 3, 4-7, 8-15, 16-31, 32-127, 128+.
pub struct Coverage {
    seen: Vec<u8>,
}

impl Coverage {
    pub fn new() -> Self {
        let edges = COUNTERS.lock().map_or(0, |parts| parts.iter().map(|part| part.len()).sum());
        Self { seen: vec![0; edges] }
    }

    /// Says whether this build counts.
    pub fn counts(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Returns how many edges were reached at least once.
    pub fn edges(&self) -> usize {
        self.seen.iter().filter(|classes| **classes != 0).count()
    }

    /// Takes the counts since the last call, and says whether they show something new.
    pub fn take(&mut self) -> bool {
        let Ok(parts) = COUNTERS.lock() else { return false };
        let mut new = false;
        for (counter, seen) in parts.iter().flat_map(|part| part.iter()).zip(&mut self.seen) {
            let count = counter.load(Ordering::Relaxed);
            if count != 0 {
                counter.store(0, Ordering::Relaxed);
                let class = class(count);
                new |= *seen & class == 0;
                *seen |= class;
            }
        }
        new
    }
}

fn class(count: u8) -> u8 {
    match count {
        0 => 0,
        1..=3 => 1 << (count - 1),
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128.. => 128,
    }
}
