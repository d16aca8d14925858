//! The operators of reductions, each a type of its own around the value: so that the library, which compares types, finds out when
//! two parties do not use the same.

use crate::choice::phalanx_op::{self, *};
use phalanx::Broken;
use phalanx::team::rendezvous::Rendezvous;

/// What C can reduce.
pub(crate) trait Number: Copy + Send + 'static {
    fn sum(self, other: Self) -> Self;
    fn least(self, other: Self) -> Self;
    fn greatest(self, other: Self) -> Self;
}

impl Number for f64 {
    #[inline]
    fn sum(self, other: Self) -> Self {
        self + other
    }

    #[inline]
    fn least(self, other: Self) -> Self {
        self.min(other)
    }

    #[inline]
    fn greatest(self, other: Self) -> Self {
        self.max(other)
    }
}

impl Number for i64 {
    #[inline]
    fn sum(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline]
    fn least(self, other: Self) -> Self {
        self.min(other)
    }

    #[inline]
    fn greatest(self, other: Self) -> Self {
        self.max(other)
    }
}

#[derive(Clone, Copy)]
struct Sum<T>(T);
#[derive(Clone, Copy)]
struct Min<T>(T);
#[derive(Clone, Copy)]
struct Max<T>(T);

/// Crosses a trip, and combines one value of each party into one for all.
#[inline]
pub(crate) fn all_reduce<T: Number>(at: &mut impl Rendezvous, op: phalanx_op, value: T) -> Result<T, Broken> {
    match op {
        PHALANX_SUM => at.all_reduce(Sum(value), |Sum(a), Sum(b)| Sum(a.sum(b))).map(|Sum(all)| all),
        PHALANX_MIN => at.all_reduce(Min(value), |Min(a), Min(b)| Min(a.least(b))).map(|Min(all)| all),
        PHALANX_MAX => at.all_reduce(Max(value), |Max(a), Max(b)| Max(a.greatest(b))).map(|Max(all)| all),
    }
}
