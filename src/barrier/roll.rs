//! Who is who: which ranks are claimed, and on which thread each waits.

use crate::error::{Broken, Cause, ClaimError, MAX_PARTIES, Missing};
use crate::fate::Census;
use crate::observe::watchdog::{Known, given_name, last_cpu, started_at};
use crate::primitive::{Mutex, ask_thread_id, lock};

/// The life of a rank's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody has asked for it yet.
    Free,
    /// A living handle holds it.
    Held,
    /// Its handle was dropped; it may be claimed again.
    Deserted,
    /// Its party is no member any more; who joins may get it.
    Left,
}

/// The claims of all ranks. Guarded by the registry's lock.
#[derive(Clone, Debug)]
pub(crate) struct Claims(Vec<Claim>);

impl Claims {
    pub(crate) fn new(parties: usize) -> Self {
        Self(vec![Claim::Free; parties])
    }

    /// Takes `rank`, if it is there and nobody holds it.
    pub(crate) fn take(&mut self, rank: usize) -> Result<(), ClaimError> {
        let parties = self.0.len();
        match self.0.get_mut(rank) {
            None => Err(ClaimError::NoSuchRank { rank, parties }),
            Some(Claim::Held) => Err(ClaimError::Taken { rank }),
            Some(Claim::Left) => Err(ClaimError::Left { rank }),
            Some(claim) => {
                *claim = Claim::Held;
                Ok(())
            }
        }
    }

    /// Notes what has become of `rank`.
    pub(crate) fn set(&mut self, rank: usize, claim: Claim) {
        self.0[rank] = claim;
    }

    /// The rank of a new member, held already: the lowest that somebody has left, or one more. `None` if there are
    /// [`MAX_PARTIES`]. Only one that is `vacant`.
    pub(crate) fn add(&mut self, vacant: impl Fn(usize) -> bool) -> Option<usize> {
        let left = (0..self.0.len()).find(|&rank| self.0[rank] == Claim::Left && vacant(rank));
        let rank = left.or((self.0.len() < MAX_PARTIES).then_some(self.0.len()))?;
        self.0.resize(self.0.len().max(rank + 1), Claim::Held);
        self.0[rank] = Claim::Held;
        Some(rank)
    }

    /// Lets `rank` be a member no more.
    pub(crate) fn remove(&mut self, rank: usize) {
        self.0[rank] = Claim::Left;
    }

    /// What has become of `rank`.
    pub(crate) fn of(&self, rank: usize) -> Option<Claim> {
        self.0.get(rank).copied()
    }

    /// The ranks of all members, ascending.
    pub(crate) fn members(&self) -> Vec<usize> {
        (0..self.0.len()).filter(|rank| self.0[*rank] != Claim::Left).collect()
    }

    /// The ranks in state `claim`, ascending.
    pub(crate) fn in_state(&self, claim: Claim) -> Vec<usize> {
        (0..self.0.len()).filter(|rank| self.0[*rank] == claim).collect()
    }
}

/// The threads behind the ranks, for people who read errors. A lock of its own, below all others, because a
/// break asks for names while it holds the verdict's.
#[derive(Debug)]
pub(crate) struct Threads(Mutex<Vec<Option<Thread>>>);

/// A thread as the system and people know it.
#[derive(Clone, Debug)]
struct Thread {
    name: Option<String>,
    id: Option<u32>,
    /// What tells it from a later thread with the same number; only where a watchdog will ask.
    start: Option<u64>,
}

impl Thread {
    /// std knows the names of the threads that it has started; of others, a C program's, the system does.
    fn name(&self) -> Option<String> {
        self.name.clone().or_else(|| given_name(self.id?))
    }
}

impl Threads {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Notes that the calling thread waits with the handle of `rank`. `exactly`: so that it can be told from a later thread
    /// with the same number.
    pub(crate) fn introduce(&self, rank: usize, exactly: bool) {
        let name = std::thread::current().name().map(str::to_owned);
        let id = ask_thread_id();
        let start = id.filter(|_| exactly).and_then(started_at);
        let mut threads = lock(&self.0);
        if threads.len() <= rank {
            threads.resize(rank + 1, None);
        }
        threads[rank] = Some(Thread { name, id, start });
    }

    /// Forgets who waited with the handle of `rank`: somebody else has it now.
    pub(crate) fn forget(&self, rank: usize) {
        if let Some(thread) = lock(&self.0).get_mut(rank) {
            *thread = None;
        }
    }

    /// The thread that waits with the handle of `rank`, as far as it has said so.
    pub(crate) fn known(&self, rank: usize) -> Option<Known> {
        let thread = lock(&self.0).get(rank)?.clone()?;
        Some(Known { name: thread.name(), id: thread.id, start: thread.start })
    }

    /// The record of a break, with what is known of the missing.
    pub(crate) fn describe(&self, cause: Cause, census: Census) -> Broken {
        let threads = lock(&self.0);
        let missing = |rank: &usize| {
            let thread = threads.get(*rank).and_then(Option::as_ref);
            Missing {
                rank: *rank,
                thread: thread.and_then(Thread::name),
                cpu: thread.and_then(|thread| last_cpu(thread.id?)),
            }
        };
        let missing: Vec<Missing> = census.missing.iter().map(missing).collect();
        let parties = missing.len() + census.arrived;
        Broken::by_rank(cause, census.generation, parties, missing)
    }
}

// Under Miri there are no threads of the system, and a look through all ranks takes minutes.
#[cfg(all(test, not(any(miri, phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_rank_beyond_the_last_but_one_that_was_left() {
        let mut claims = Claims::new(MAX_PARTIES - 1);
        assert_eq!(claims.add(|_| true), Some(MAX_PARTIES - 1));
        assert_eq!(claims.add(|_| true), None);
        claims.remove(3);
        assert_eq!(claims.add(|rank| rank != 3), None);
        assert_eq!(claims.add(|_| true), Some(3));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_that_std_gave_no_name_is_called_what_the_system_calls_it() {
        let threads = Threads::new();
        std::thread::scope(|scope| {
            let (told, has_asked) = std::sync::mpsc::channel();
            let (asks, has_come) = std::sync::mpsc::channel::<String>();
            let threads = &threads;
            scope.spawn(move || {
                threads.introduce(1, false);
                for name in has_come {
                    std::fs::write(format!("/proc/self/task/{}/comm", ask_thread_id().unwrap()), name).unwrap();
                    told.send(()).unwrap();
                }
            });
            let program = std::fs::read_to_string("/proc/self/comm").unwrap();
            for (name, known) in [("solver-7", Some("solver-7".to_owned())), (program.trim_end(), None)] {
                asks.send(name.to_owned()).unwrap();
                has_asked.recv().unwrap();
                let census = Census { generation: 0, arrived: 1, missing: vec![0, 1] };
                let missing = threads.describe(Cause::Reset, census).missing().to_vec();
                assert_eq!((&missing[0].thread, &missing[1].thread), (&None, &known));
                assert_eq!(threads.known(1).unwrap().name, known);
            }
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_where_a_thread_ran() {
        let cpu = last_cpu(ask_thread_id().unwrap()).unwrap();
        assert!(cpu < 1 << 16, "{cpu}");
        assert_eq!(last_cpu(u32::MAX), None);
    }
}
