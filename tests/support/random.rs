//! Numbers by chance, the same ones for the same seed.

use std::ops::Range;

/// The generator [SplitMix64](https://doi.org/10.1145/2660193.2660195), from its seed on.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// Of all numbers.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to the one before `n`; of none, 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next_u64() % n.max(1) as u64) as usize
    }

    /// One of these.
    ///
    /// # Panics
    /// If there is none.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// The seeds that a test goes through: `usually` the first so many, or as many as the variable `many` says, or the one that
/// the variable `one` says.
pub fn seeds(one: &str, many: &str, usually: u64) -> Range<u64> {
    let number = |variable| std::env::var(variable).ok()?.parse().ok();
    match number(one) {
        Some(one) => one..one + 1,
        None => 0..number(many).unwrap_or(usually),
    }
}
