//! The random numbers of the NAS Parallel Benchmarks: x' = 5^13 x mod 2^46, and x 2^-46 is the number.
//!
//! D. Bailey et al., "The NAS Parallel Benchmarks", RNR-94-007 (1994), section 2.3. In integers, where the published code
//! splits its factors into halves of 23 bits to do it in doubles: 46 bits fit into 64, and the products into 128.
#![allow(dead_code)] // each kernel takes its own part of this

const MODULUS: u64 = (1 << 46) - 1;

/// 5^13, the multiplier of all kernels.
pub(crate) const A: u64 = 1_220_703_125;

/// A place in the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Random(u64);

impl Random {
    /// From this seed.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed & MODULUS)
    }

    /// The next number, in (0, 1).
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = multiply(self.0, A);
        self.0 as f64 / (1_u64 << 46) as f64
    }

    /// Goes on by `steps` numbers at once.
    pub(crate) fn skip(&mut self, steps: u64) {
        self.0 = multiply(self.0, power(A, steps));
    }
}

fn multiply(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) & u128::from(MODULUS)) as u64
}

/// a^n, by squaring.
fn power(mut a: u64, mut n: u64) -> u64 {
    let mut result = 1;
    while n > 0 {
        if n & 1 == 1 {
            result = multiply(result, a);
        }
        a = multiply(a, a);
        n >>= 1;
    }
    result
}
