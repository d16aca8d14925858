//! phalanx: as it comes, with a named algorithm and policy, and behind std's signature.

use crate::place;
use crate::seat::Crossing;
use phalanx::{Algorithm, Barrier, Builder, Party, WaitPolicy, compat};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, iter};

/// With every default.
pub fn default(parties: usize) -> Result<Vec<Own>, String> {
    claim(Barrier::builder(parties).build())
}

/// With a deadline on each wait, as careful users will have it.
pub fn with_timeout(parties: usize) -> Result<Vec<Own>, String> {
    claim(Barrier::builder(parties).timeout(Duration::from_secs(60)).build())
}

/// With an algorithm, and every other default; told where its parties are, if they stay there.
pub fn algorithm(parties: usize, algorithm: Algorithm, pinned: Option<&[usize]>) -> Result<Vec<Own>, String> {
    claim(builder(parties, algorithm, pinned)?.build())
}

/// What [`algorithm`] builds from.
pub fn builder(parties: usize, algorithm: Algorithm, pinned: Option<&[usize]>) -> Result<Builder, String> {
    let builder = Barrier::builder(parties).algorithm(algorithm);
    Ok(match pinned {
        Some(cpus) => builder.placement(place::placement(cpus)?),
        None => builder,
    })
}

/// With a named algorithm and policy.
pub fn named(parties: usize, algorithm: Algorithm, policy: WaitPolicy) -> Result<Vec<Own>, String> {
    claim(Barrier::builder(parties).algorithm(algorithm).wait_policy(policy).build())
}

pub fn claim<E: fmt::Display>(barrier: Result<Barrier, E>) -> Result<Vec<Own>, String> {
    let barrier = barrier.map_err(|e| e.to_string())?;
    Ok(barrier.take_parties().map_err(|e| e.to_string())?.into_iter().map(Own).collect())
}

/// A party with its handle.
pub struct Own(pub Party);

impl Crossing for Own {
    const LEADS: bool = true;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        match self.0.wait() {
            Ok(trip) => trip.is_leader(),
            Err(broken) => fail(&broken),
        }
    }

    fn counted(&self) -> Option<u64> {
        Some(self.0.generation())
    }
}

#[cold]
#[inline(never)]
pub fn fail(broken: &dyn fmt::Display) -> ! {
    panic!("phalanx broke a trip that nothing disturbed: {broken}")
}

/// Behind std's signature.
pub fn compat(parties: usize) -> Vec<Compat> {
    iter::repeat_n(Arc::new(compat::Barrier::new(parties)), parties).map(Compat).collect()
}

pub struct Compat(Arc<compat::Barrier>);

impl Crossing for Compat {
    const LEADS: bool = true;

    #[inline]
    fn wait(&mut self) -> bool {
        self.0.wait().is_leader()
    }
}

/// How long a party spins before it sleeps, as measured here.
pub fn spin_budget() -> Duration {
    phalanx::calibration().spin_budget()
}

/// The library's own words about what waiting costs here.
pub fn calibration() -> String {
    phalanx::calibration().to_string()
}
