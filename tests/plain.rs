//! The promise itself: what a party did before it arrived is there for everybody behind the trip, in memory that nothing else
//! orders.
//!
//! Cells are plain, as a user's data are, and nobody locks anything between their uses, so a missing edge is a data race: for
//! ThreadSanitizer and for Miri in one run of any schedule, whatever the processor did; and on a processor that reorders, now
//! and then a wrong number. In step g each party writes its own cell of row g mod 2, crosses, and reads the others' cells of that row. A
//! row is written again two steps later, so the trips also order the readers before the next writer.

mod common;

use common::watch::{Job, Step};
use common::{Rng, Watch, patience, scaled, watched};
use phalanx::team::Team;
use phalanx::{Algorithm, Barrier, Broken, Party, WaitPolicy, compat};
use std::cell::UnsafeCell;

/// Two rows of a cell for each party.
struct Cells(Vec<[UnsafeCell<u64>; 2]>);

// SAFETY: `write` and `read` are kept apart by the barrier under test; if they are not, that is what is to be found.
unsafe impl Sync for Cells {}

impl Cells {
    fn new(parties: usize) -> Self {
        Self((0..parties).map(|_| [const { UnsafeCell::new(u64::MAX) }; 2]).collect())
    }

    fn write(&self, rank: usize, step: u64) {
        // SAFETY: see `Sync`: only `rank` writes here, and who has read the row has crossed since.
        unsafe { *self.0[rank][(step % 2) as usize].get() = step }
    }

    /// What everybody wrote in `step`.
    fn check(&self, step: u64) {
        for cells in &self.0 {
            // SAFETY: see `Sync`: everybody has crossed since it wrote, and nobody writes this row before it has crossed again.
            assert_eq!(unsafe { *cells[(step % 2) as usize].get() }, step);
        }
    }

    /// `steps` steps of one party.
    fn walk<E>(
        &self,
        watch: &Watch,
        rank: usize,
        steps: u64,
        mut cross: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        for step in 0..steps {
            watch.mark(rank, step, Step::Waiting);
            self.write(rank, step);
            cross(step)?;
            self.check(step);
        }
        Ok(())
    }
}

/// A barrier for each algorithm, each policy and a few party counts, near the wrap.
fn everywhere(parties: &[usize], mut with: impl FnMut(usize, &Barrier)) {
    for algorithm in Algorithm::NAMED {
        for policy in WaitPolicy::ALL {
            for &parties in parties {
                let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(policy);
                with(parties, &builder.first_generation(u64::MAX - 5).build().unwrap());
            }
        }
    }
}

fn crew<T: Send>(watch: &Watch, barrier: &Barrier, work: impl Fn(Party) -> T + Sync) -> Vec<T> {
    let work = &work;
    let job = |party| Box::new(move || work(party)) as Job<'_, T>;
    watch.crew(barrier.take_parties().unwrap().into_iter().map(job).collect())
}

#[test]
fn what_was_written_before_a_trip_is_read_behind_it() {
    watched("plain: trips", patience(), |watch| {
        everywhere(if cfg!(miri) { &[2, 3] } else { &[2, 3, 5] }, |parties, barrier| {
            let cells = Cells::new(parties);
            crew(watch, barrier, |mut party| {
                let mut rng = watch.rng().fork(party.rank());
                cells.walk(watch, party.rank(), scaled(100) as u64, |_| {
                    rng.dawdle();
                    party.wait().map(drop)
                })
            })
            .into_iter()
            .for_each(|told| told.unwrap());
        });
    });
}

#[test]
fn an_arrival_carries_what_was_written_before_it() {
    watched("plain: split", patience(), |watch| {
        everywhere(&[3], |parties, barrier| {
            let cells = Cells::new(parties);
            crew(watch, barrier, |mut party| {
                let mut rng = watch.rng().fork(party.rank());
                cells.walk(watch, party.rank(), scaled(60) as u64, |_| {
                    if rng.once_in(2) {
                        return party.wait().map(drop);
                    }
                    let arrival = party.arrive();
                    rng.dawdle();
                    arrival.wait().map(drop)
                })
            })
            .into_iter()
            .for_each(|told| told.unwrap());
        });
    });
}

/// Who is slow to leave a trip learns from the verdict on the next one that it is complete.
#[test]
fn a_trip_that_was_complete_before_a_break_carries_as_much() {
    watched("plain: verdicts", patience(), |watch| {
        let mut rng = watch.rng();
        for _ in 0..scaled(20) {
            everywhere(&[3], |parties, barrier| {
                let (cells, deserter) = (Cells::new(parties), rng.below(3) as usize);
                let told = crew(watch, barrier, |mut party| {
                    let rank = party.rank();
                    let last = if rank == deserter { 2 } else { 3 };
                    cells.walk(watch, rank, last, |_| party.wait().map(drop))
                });
                assert!(told.iter().enumerate().all(|(rank, told)| told.is_ok() == (rank == deserter)));
            });
        }
    });
}

/// The same, where the verdict comes from outside, from somebody who has crossed nothing.
#[test]
fn a_trip_that_was_complete_before_an_abort_carries_as_much() {
    watched("plain: aborts", patience(), |watch| {
        let mut rng = watch.rng();
        for _ in 0..scaled(60) {
            everywhere(&[4], |parties, barrier| {
                let (cells, pause) = (Cells::new(parties), rng.below(200));
                let told = std::thread::scope(|scope| {
                    scope.spawn(move || {
                        (0..pause).for_each(|_| std::hint::spin_loop());
                        barrier.abort("a test")
                    });
                    crew(watch, barrier, |mut party| {
                        cells.walk(watch, party.rank(), u64::MAX, |_| party.wait().map(drop))
                    })
                });
                assert!(told.iter().all(Result::is_err));
            });
        }
    });
}

/// Small values of one kind on every trip, so that each takes the place of the one but last, which somebody may be slow to read.
#[test]
fn values_in_a_row_do_not_run_into_each_other() {
    watched("plain: values", patience(), |watch| {
        everywhere(&[2, 3], |parties, barrier| {
            crew(watch, barrier, |mut party| {
                for step in 0..scaled(60) as u64 {
                    watch.mark(party.rank(), step, Step::Waiting);
                    let sum = party.all_reduce(step, |one, other| one + other).unwrap();
                    assert_eq!(sum, step * parties as u64);
                }
            });
        });
    });
}

#[test]
fn callers_without_handles_see_what_others_wrote() {
    watched("plain: compat", patience(), |watch| {
        for callers in [2, 3, 5] {
            let (barrier, cells) = (&compat::Barrier::new(callers), &Cells::new(callers));
            let job = |rank| {
                let mut rng = watch.rng().fork(rank);
                let walk = move || {
                    cells.walk(watch, rank, scaled(400) as u64, |_| {
                        rng.dawdle();
                        barrier.try_wait().map(drop)
                    })
                };
                Box::new(walk) as Job<'_, Result<(), Broken>>
            };
            watch.crew((0..callers).map(job).collect()).into_iter().for_each(|told| told.unwrap());
        }
    });
}

#[test]
fn a_run_takes_plain_data_there_and_back() {
    watched("plain: team", patience(), |watch| {
        for policy in WaitPolicy::ALL {
            for joins in [true, false] {
                let team = Team::builder().threads(3).wait_policy(policy).caller_joins(joins).build().unwrap();
                // The caller's own cell is the last.
                let cells = Cells::new(4);
                for step in 0..scaled(60) as u64 {
                    cells.write(3, step);
                    team.run(|member| {
                        Rng::new(step).fork(member.rank()).dawdle();
                        cells.write(member.rank(), step);
                        member.barrier().unwrap();
                        cells.check(step);
                    })
                    .unwrap();
                    cells.check(step);
                    watch.mark(0, step, Step::Done);
                }
            }
        }
    });
}
