//! What barriers and teams have been through, in numbers.

use crate::barrier::{BARRIERS, phalanx_barrier};
use crate::handle::Kind;
use crate::out;
use crate::party::PARTIES;
use crate::shared;
use crate::status::phalanx_status::{self, PHALANX_NO_SUCH_RANK};
use crate::status::{Failure, phalanx_cause};
use crate::team::{self, phalanx_team};
use crate::undisturbed::undisturbed;
use phalanx::observe::{PartyStats, Stats};
use std::ffi::c_int;

/// What a barrier, or the barrier of a team, has been through. The numbers of one snapshot are each right at some moment while it was
/// taken; of a barrier at rest they are exact.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct phalanx_stats {
    /// How many parties take part in the open trip.
    pub parties: usize,
    /// How many of these have arrived at it.
    pub arrived: usize,
    /// Completed trips.
    pub trips: u64,
    /// Resets.
    pub resets: u64,
    /// Breaks, whatever their cause; phalanx_barrier_breaks() counts one cause.
    pub breaks: u64,
    /// Waits of all parties that were not over within the first few dozens of polls.
    pub waits: u64,
    /// Polls in these, with the CPU kept.
    pub spins: u64,
    /// Polls in these, behind which a party gave its CPU to others.
    pub yields: u64,
    /// How often parties went to sleep.
    pub parks: u64,
    /// How often parties woke others, with a system call.
    pub wakes: u64,
}

impl From<&Stats> for phalanx_stats {
    fn from(stats: &Stats) -> Self {
        Self {
            parties: stats.parties,
            arrived: stats.arrived,
            trips: stats.trips,
            resets: stats.resets,
            breaks: stats.all_breaks(),
            waits: stats.waits(),
            spins: stats.spins(),
            yields: stats.yields(),
            parks: stats.parks(),
            wakes: stats.wakes(),
        }
    }
}

/// What one party has been through.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct phalanx_party_stats {
    /// Its rank.
    pub rank: usize,
    /// Arrivals, also at trips that are open, or broke afterwards.
    pub arrivals: u64,
    /// Trips on which it looked who else was there.
    pub looks: u64,
    /// On how many of these nobody was there before it.
    pub first: u64,
    /// On how many of these everybody else was there before it: near to `looks` for the one for which the others wait.
    pub last: u64,
    /// As in phalanx_stats, of this party.
    pub waits: u64,
    /// As in phalanx_stats, of this party.
    pub spins: u64,
    /// As in phalanx_stats, of this party.
    pub yields: u64,
    /// As in phalanx_stats, of this party.
    pub parks: u64,
    /// As in phalanx_stats, of this party.
    pub wakes: u64,
}

impl From<&PartyStats> for phalanx_party_stats {
    fn from(party: &PartyStats) -> Self {
        let PartyStats { rank, arrivals, looks, first, last, waits, spins, yields, parks, wakes, .. } = *party;
        Self { rank, arrivals, looks, first, last, waits, spins, yields, parks, wakes }
    }
}

fn of_barrier(barrier: *const phalanx_barrier) -> Result<Stats, Failure> {
    let handle = barrier.addr();
    let pin = BARRIERS.pin(handle).map_err(|refusal| Failure::refused(refusal, Kind::Barrier, handle))?;
    Ok(pin.stats())
}

fn of_rank(stats: &Stats, rank: usize) -> Result<phalanx_party_stats, Failure> {
    let party = stats.party(rank).map(phalanx_party_stats::from);
    party.ok_or_else(|| {
        let text = format!(
            "there is nothing to tell of rank {rank}: only of the {} ranks that had handles",
            stats.per_party.len()
        );
        Failure::new(PHALANX_NO_SUCH_RANK, text)
    })
}

/// What the barrier has been through so far.
///
/// # Safety
///
/// `stats` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_stats(
    barrier: *const phalanx_barrier,
    stats: *mut phalanx_stats,
) -> phalanx_status {
    undisturbed(|| {
        let now = phalanx_stats::from(&of_barrier(barrier)?);
        // SAFETY: by this function's own contract.
        unsafe { out::give(stats, "stats", now) }
    })
}

/// What the party of `rank` has been through so far; a rank that is claimed again goes on counting.
///
/// # Safety
///
/// `stats` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_party_stats(
    barrier: *const phalanx_barrier,
    rank: usize,
    stats: *mut phalanx_party_stats,
) -> phalanx_status {
    undisturbed(|| {
        let now = of_rank(&of_barrier(barrier)?, rank)?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(stats, "stats", now) }
    })
}

/// How often the barrier broke for one of enum phalanx_cause (but PHALANX_CAUSE_OTHER).
///
/// # Safety
///
/// `breaks` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_barrier_breaks(
    barrier: *const phalanx_barrier,
    cause: c_int,
    breaks: *mut u64,
) -> phalanx_status {
    undisturbed(|| {
        let kind = phalanx_cause::kind(cause).filter(|_| cause != phalanx_cause::PHALANX_CAUSE_OTHER as c_int);
        let kind = kind.ok_or_else(|| Failure::invalid(format!("no cause that is counted has the number {cause}")))?;
        let count = of_barrier(barrier)?.breaks_of(kind);
        // SAFETY: by this function's own contract.
        unsafe { out::give(breaks, "breaks", count) }
    })
}

/// What the barrier of a team's members has been through, since the last run that broke it.
///
/// # Safety
///
/// `stats` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_team_stats(team: *const phalanx_team, stats: *mut phalanx_stats) -> phalanx_status {
    undisturbed(|| {
        let now = phalanx_stats::from(&team::pinned(team)?.stats());
        // SAFETY: by this function's own contract.
        unsafe { out::give(stats, "stats", now) }
    })
}

/// As phalanx_barrier_party_stats(), of the member with this rank.
///
/// # Safety
///
/// `stats` points to room for a result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn phalanx_team_member_stats(
    team: *const phalanx_team,
    rank: usize,
    stats: *mut phalanx_party_stats,
) -> phalanx_status {
    undisturbed(|| {
        let now = of_rank(&team::pinned(team)?.stats(), rank)?;
        // SAFETY: by this function's own contract.
        unsafe { out::give(stats, "stats", now) }
    })
}

/// How many barriers, parties, shared barriers and teams this process has not freed yet: for tests that look for leaks, which tools
/// cannot see behind handles.
#[unsafe(no_mangle)]
pub extern "C" fn phalanx_live_handles() -> usize {
    BARRIERS.in_use() + PARTIES.in_use() + shared::in_use() + team::in_use()
}
