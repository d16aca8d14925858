//! One cause after the other, and what the report says of it.

use crate::common::{cpus, patience, until, watched};
use crate::support::{
    AFTER, assert_says, cross_and_wait, next_like, on_thread, plain, reporting, sleep_long, watched_barrier,
};
use phalanx::observe::watchdog::{Absent, Handle, Hint, Report, Thread, ThreadState};
use phalanx::{Barrier, Cause, WaitPolicy};
use std::mem::forget;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

#[test]
fn a_thread_that_has_ended_without_dropping_its_handle() {
    watched("a dead thread", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 3);
        let mut parties = barrier.take_parties().unwrap().into_iter();
        let [zero, one, two] = [(); 3].map(|()| parties.next().unwrap());
        let waiting =
            [(0, zero), (2, two)].map(|(rank, party)| on_thread(&format!("solver-{rank}"), party, cross_and_wait));
        let mut one = one;
        let dying = thread::Builder::new().name("solver-1".into()).spawn(move || {
            one.set_phase("assemble");
            one.wait().unwrap();
            forget(one);
        });
        dying.unwrap().join().unwrap();
        let report = assert_says(
            &reports,
            1,
            "|barrier `halo`: trip 1 is stuck for #: 2 of 3 parties have arrived
             |  missing: rank 1, `solver-1` (thread #): gone; phase \"assemble\"; last arrived # ago or earlier
             |  here: rank 0, `solver-0` (thread #, last on cpu #): asleep in futex; waits for #
             |  here: rank 2, `solver-2` (thread #, last on cpu #): asleep in futex; waits for #
             |  cause: thread #, which waited as rank 1, has ended and its handle was not dropped: likely mem::forget, a leak \
             (a cycle of Arcs), or an early return that left the handle in a place that outlives the thread, or with a thread \
             that has not come yet; dropping the handle would have broken the trip at once",
        );
        assert_eq!(report.missing()[0].arrivals(), 1);
        barrier.abort("over");
        waiting.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    });
}

/// One loop is shorter than the others, and the handle lies in a place that outlives its thread: nothing breaks.
#[test]
fn an_early_return_that_leaves_its_handle_behind() {
    watched("an early return", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 3);
        let mut parties = barrier.take_parties().unwrap();
        thread::scope(|s| {
            for party in &mut parties {
                let trips = if party.rank() == 2 { 4 } else { 5 };
                let life = move || (0..trips).try_for_each(|_| party.wait().map(drop));
                thread::Builder::new().name("loop".into()).spawn_scoped(s, life).unwrap();
            }
            let right = |report: &Report| matches!(report.hints(), [Hint::DeadThread { rank: 2, .. }]);
            let report = next_like(&reports, 4, right);
            barrier.abort("over");
            assert!(right(&report) && report.missing()[0].arrivals() == 4, "{report}");
            assert!(report.to_string().contains("an early return that left the handle in a place"), "{report}");
        });
    });
}

#[test]
fn a_rank_that_nobody_has_claimed_and_one_that_nobody_uses() {
    watched("never claimed, never came", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 3);
        let zero = on_thread("solver-0", barrier.claim(0).unwrap(), |party| party.wait().unwrap_err());
        let unused = barrier.claim(1).unwrap();
        let report = assert_says(
            &reports,
            0,
            "|barrier `halo`: trip 0 is stuck for #: 1 of 3 parties have arrived
             |  missing: rank 1, claimed, never waited; has never arrived
             |  missing: rank 2, never claimed
             |  here: rank 0, `solver-0` (thread #, last on cpu #): asleep in futex; waits for #
             |  cause: rank 1 was claimed and no thread has ever waited with its handle: likely the handle lies in a collection \
             or was forgotten (mem::forget), or its thread was not started or is still before its first wait
             |  cause: rank 2 was never claimed: the barrier was built for more parties than there are workers, or the worker \
             that should claim it has not been started",
        );
        assert_eq!(
            report.missing().iter().map(|absent| absent.handle()).collect::<Vec<_>>(),
            [Handle::Held, Handle::Unclaimed]
        );
        assert_eq!(report.hints(), [Hint::NeverCame { rank: 1 }, Hint::Unclaimed { rank: 2 }]);
        drop(unused);
        assert_eq!(zero.join().unwrap().cause(), &Cause::Dropped { rank: 1 });
    });
}

#[test]
fn a_thread_that_sleeps_and_one_that_waits_for_a_lock() {
    watched("asleep", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 3);
        let mut parties = barrier.take_parties().unwrap().into_iter();
        let zero = on_thread("solver-0", parties.next().unwrap(), cross_and_wait);
        let sleeper = on_thread("solver-1", parties.next().unwrap(), |party| {
            party.wait().unwrap();
            party.set_phase("nap");
            sleep_long();
        });
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().unwrap();
        let locker = on_thread("solver-2", parties.next().unwrap(), {
            let lock = Arc::clone(&lock);
            move |party| {
                party.wait().unwrap();
                drop(lock.lock().unwrap());
            }
        });
        assert_says(
            &reports,
            1,
            "|barrier `halo`: trip 1 is stuck for #: 1 of 3 parties have arrived
             |  missing: rank 1, `solver-1` (thread #, last on cpu #): asleep in clock_nanosleep; phase \"nap\"; last arrived # \
             ago or earlier
             |  missing: rank 2, `solver-2` (thread #, last on cpu #): asleep in futex; last arrived # ago or earlier
             |  here: rank 0, `solver-0` (thread #, last on cpu #): asleep in futex; waits for #
             |  cause: the thread of rank 1 is alive and asleep outside the barrier, in a sleep for some time; if its loop is \
             over (a shorter loop, an early return), drop its handle or let it leave: look at its stack
             |  cause: the thread of rank 2 is alive and asleep outside the barrier, likely for a lock, a condition variable, a \
             channel or a join; if its loop is over (a shorter loop, an early return), drop its handle or let it leave: look at \
             its stack
             |  to see all stacks: gdb -p # -batch -ex 'thread apply all bt'",
        );
        barrier.abort("over");
        zero.join().unwrap();
        drop((held, sleeper, locker));
    });
}

#[test]
fn a_computation_without_end() {
    watched("a computation without end", patience(), |_| {
        static OVER: AtomicBool = AtomicBool::new(false);
        let (barrier, reports) = watched_barrier("halo", 2);
        let mut parties = barrier.take_parties().unwrap().into_iter();
        let zero = on_thread("solver-0", parties.next().unwrap(), cross_and_wait);
        let one = on_thread("solver-1", parties.next().unwrap(), |party| {
            party.wait().unwrap();
            party.set_phase("compute");
            while !OVER.load(SeqCst) {
                std::hint::spin_loop();
            }
        });
        let at_work =
            |report: &Report| report.missing()[0].thread().is_some_and(|it| it.state() == ThreadState::Running);
        let report = next_like(&reports, 1, at_work);
        OVER.store(true, SeqCst);
        let (state, cause) = match report.missing()[0].thread().unwrap().state() {
            ThreadState::Running => (
                "running",
                "the thread of rank 1 is at work: a step that takes longer than the watchdog allows, or a loop that does not \
                 end; its stack says which",
            ),
            // The truth, on a machine that is that busy.
            ThreadState::Starved => (
                "wants a CPU and gets none",
                "the thread of rank 1 wants a CPU and gets none: 2 parties share # CPUs with whatever else runs there; use \
                 fewer parties, stop what takes the CPUs, or do not let parties spin (`PHALANX_WAIT_POLICY=park`)",
            ),
            other => panic!("{other}: {report}"),
        };
        let golden = format!(
            "barrier `halo`: trip 1 is stuck for #: 1 of 2 parties have arrived\n  \
             missing: rank 1, `solver-1` (thread #, last on cpu #): {state}; phase \"compute\"; last arrived # ago or earlier\n  \
             here: rank 0, `solver-0` (thread #, last on cpu #): asleep in futex; waits for #\n  \
             cause: {cause}\n  \
             to see all stacks: gdb -p # -batch -ex 'thread apply all bt'"
        );
        assert_eq!(plain(&report), golden, "{report}");
        barrier.abort("over");
        zero.join().unwrap();
        one.join().unwrap();
    });
}

#[test]
fn more_computations_than_cpus_are_at_work_or_starved_but_never_asleep() {
    watched("oversubscribed", patience(), |_| {
        let over = Arc::new(AtomicBool::new(false));
        let parties = cpus() * 4 + 1;
        let (barrier, reports) = watched_barrier("halo", parties);
        let mut workers = barrier.take_parties().unwrap().into_iter();
        let zero = on_thread("solver-0", workers.next().unwrap(), cross_and_wait);
        let busy: Vec<_> = workers
            .map(|party| {
                let over = Arc::clone(&over);
                on_thread("busy", party, move |party| {
                    party.wait().unwrap();
                    while !over.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        let all_at_work = |report: &Report| {
            let works = |absent: &Absent| absent.thread().is_some_and(|thread| thread.state() != ThreadState::Sleeping);
            report.missing().len() == parties - 1 && report.missing().iter().all(works)
        };
        let report = next_like(&reports, 1, all_at_work);
        over.store(true, SeqCst);
        assert_eq!((report.missing().len(), report.cpus()), (parties - 1, phalanx::topology::available_cpus()));
        for absent in report.missing() {
            let state = absent.thread().unwrap().state();
            assert!(matches!(state, ThreadState::Running | ThreadState::Starved), "{report}");
            let hint = report.hints().iter().find(|hint| hint.rank() == Some(absent.rank())).unwrap();
            let named = match state {
                ThreadState::Starved => Hint::Oversubscribed { rank: absent.rank(), parties, cpus: report.cpus() },
                _ => Hint::Working { rank: absent.rank() },
            };
            assert_eq!(hint, &named);
        }
        barrier.abort("over");
        zero.join().unwrap();
        busy.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn one_thread_with_two_handles() {
    watched("two handles", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 2);
        let mut parties = barrier.take_parties().unwrap().into_iter();
        let (zero, mut one) = (parties.next().unwrap(), parties.next().unwrap());
        let greedy = on_thread("greedy", zero, move |zero| {
            let arrival = one.arrive();
            zero.wait().unwrap();
            arrival.wait().unwrap();
            zero.wait().unwrap_err()
        });
        assert_says(
            &reports,
            1,
            "|barrier `halo`: trip 1 is stuck for #: 1 of 2 parties have arrived
             |  missing: rank 1, `greedy` (thread #, last on cpu #): asleep in futex; last arrived # ago or earlier
             |  here: rank 0, `greedy` (thread #, last on cpu #): asleep in futex; waits for #
             |  cause: the thread of rank 1 is the one that waits here as rank 0: likely one thread has two handles and can only \
             wait with one; give each handle a thread of its own, or build the barrier for fewer parties
             |  to see all stacks: gdb -p # -batch -ex 'thread apply all bt'",
        );
        barrier.abort("over");
        greedy.join().unwrap();
    });
}

#[test]
fn two_threads_that_come_to_two_barriers_in_different_order() {
    watched("crosswise", patience(), |_| {
        let (a, reports_of_a) = watched_barrier("a", 2);
        let (b, reports_of_b) = watched_barrier("b", 2);
        let pairs = a.take_parties().unwrap().into_iter().zip(b.take_parties().unwrap());
        let threads: Vec<_> = pairs
            .enumerate()
            .map(|(index, (at_a, mut at_b))| {
                on_thread(&format!("worker-{index}"), at_a, move |at_a| {
                    at_a.wait().unwrap();
                    at_b.wait().unwrap();
                    let stuck = if index == 0 { at_a.wait() } else { at_b.wait() };
                    stuck.unwrap_err();
                })
            })
            .collect();
        for (reports, here, there, missing) in [(&reports_of_a, "a", "b", 1), (&reports_of_b, "b", "a", 0)] {
            let present = 1 - missing;
            let golden = format!(
                "|barrier `{here}`: trip 1 is stuck for #: 1 of 2 parties have arrived
                 |  missing: rank {missing}, `worker-{missing}` (thread #, last on cpu #): asleep in futex; last arrived # ago or \
                 earlier
                 |  here: rank {present}, `worker-{present}` (thread #, last on cpu #): asleep in futex; waits for #
                 |  cause: the thread of rank {missing} waits at trip 1 of barrier `{there}`, as rank {missing}, which in turn \
                 lacks a thread that waits here: the threads come to the two barriers in different order; let all come in the same
                 |  to see all stacks: gdb -p # -batch -ex 'thread apply all bt'"
            );
            assert_says(reports, 1, &golden);
        }
        a.abort("over");
        b.abort("over");
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn an_action_that_does_not_end() {
    watched("held", patience(), |_| {
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let builder = Barrier::builder(2).name("halo").wait_policy(WaitPolicy::Park);
        let builder = builder.action(move |_| gone.lock().unwrap().recv().unwrap());
        let (builder, reports) = reporting(builder, AFTER);
        let barrier = builder.build().unwrap();
        let threads: Vec<_> = barrier
            .take_parties()
            .unwrap()
            .into_iter()
            .map(|party| on_thread(&format!("solver-{}", party.rank()), party, |party| party.wait().map(drop)))
            .collect();
        let waits_for_it = |report: &Report| {
            let asleep = |thread: Option<&Thread>| thread.is_some_and(|thread| thread.state() == ThreadState::Sleeping);
            let (missing, present) = (report.missing(), report.present());
            report.is_held() && missing.len() == 1 && asleep(missing[0].thread()) && asleep(present[0].thread())
        };
        let report = next_like(&reports, 0, waits_for_it);
        let (acts, waits) = (report.missing()[0].rank(), report.present()[0].rank());
        let golden = format!(
            "barrier `halo`: trip 0 is stuck for #: all 2 parties have arrived, and 1 wait to be let go\n  \
             does not wait: rank {acts}, `solver-{acts}` (thread #, last on cpu #): asleep in futex\n  \
             here: rank {waits}, `solver-{waits}` (thread #, last on cpu #): asleep in futex; waits for #\n  \
             cause: all have arrived, and rank {acts} has not let them go: likely it is in the barrier's action, a serial \
             section or an operator that takes its time; its stack says where\n  \
             to see all stacks: gdb -p # -batch -ex 'thread apply all bt'"
        );
        assert_eq!(plain(&report), golden, "{report}");
        assert_eq!(report.break_trip("it is complete"), None);
        go.send(()).unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
}

#[test]
fn a_newcomer_that_waits_behind_a_trip_to_which_nobody_comes() {
    watched("a newcomer", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 1);
        let old = barrier.claim(0).unwrap();
        let new = on_thread("new", barrier.join().unwrap(), |party| party.wait().unwrap_err());
        let report = assert_says(
            &reports,
            0,
            "|barrier `halo`: trip 0 is stuck for #: 0 of 1 parties have arrived
             |  missing: rank 0, claimed, never waited; has never arrived
             |  waits for the next trip: rank 1, `new` (thread #, last on cpu #): asleep in futex; waits for #
             |  cause: rank 0 was claimed and no thread has ever waited with its handle: likely the handle lies in a collection or \
             was forgotten (mem::forget), or its thread was not started or is still before its first wait",
        );
        let told = report.break_trip("enough").unwrap();
        assert_eq!(new.join().unwrap(), told);
        drop(old);
    });
}

#[test]
fn a_party_that_has_arrived_and_gone_to_work_has_arrived() {
    watched("split phase", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 2);
        let mut zero = barrier.claim(0).unwrap();
        let arrival = zero.arrive();
        let report = next_like(&reports, 0, |_| true);
        assert_eq!((report.present()[0].waits_for(), report.hints()), (None, &[Hint::Unclaimed { rank: 1 }][..]));
        assert!(report.to_string().contains("; has arrived and does not wait\n"), "{report}");
        barrier.claim(1).unwrap().wait().unwrap();
        arrival.wait().unwrap();
    });
}

/// Any one of eight parties, missing for any of these reasons.
#[test]
fn whichever_of_eight_is_missing_is_named() {
    watched("any of eight", patience(), |_| {
        for victim in 0..8 {
            for cause in 0..3 {
                let (barrier, reports) = watched_barrier("eight", 8);
                let mut threads = Vec::new();
                for party in barrier.take_parties().unwrap() {
                    let rank = party.rank();
                    let name = format!("party-{rank}");
                    if rank != victim {
                        threads.push(on_thread(&name, party, |party| drop(cross_and_wait(party))));
                        continue;
                    }
                    let mut party = party;
                    let died = thread::Builder::new().name(name).spawn(move || {
                        party.wait().unwrap();
                        match cause {
                            0 => forget(party),
                            1 => sleep_long(),
                            _ => loop {
                                thread::park();
                            },
                        }
                    });
                    let died = died.unwrap();
                    if cause == 0 {
                        threads.push(died);
                    }
                }
                let right = |report: &Report| {
                    let [absent] = report.missing() else { return false };
                    absent.rank() == victim
                        && report.present().len() == 7
                        && match &report.hints()[0] {
                            Hint::DeadThread { rank, .. } => cause == 0 && *rank == victim,
                            Hint::Asleep { rank, call } => {
                                let wanted = ["nothing", "clock_nanosleep", "futex"][cause];
                                *rank == victim && call.as_deref() == Some(wanted)
                            }
                            _ => false,
                        }
                };
                let report = next_like(&reports, 1, right);
                assert!(right(&report), "{victim} {cause}: {report}");
                let name = report.missing()[0].thread().unwrap().name().unwrap_or_default();
                assert_eq!(name, format!("party-{victim}"));
                barrier.abort("over");
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            }
        }
    });
}

/// Whichever thread waited last is the one that is missing, however often the handle has changed hands.
#[test]
fn a_handle_that_moves_is_where_it_waited_last() {
    watched("moved", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 2);
        // Rank 1 waits, so that its thread is noted, and ends; three times, the second one as a new claim.
        let meet = |zero: &mut phalanx::Party, name: &str, mut one: phalanx::Party| {
            let waits = thread::Builder::new().name(name.into()).spawn(move || one.wait().map(|_| one)).unwrap();
            until(|| barrier.arrived() == 1);
            thread::sleep(AFTER / 8);
            zero.wait().unwrap();
            waits.join().unwrap().unwrap()
        };
        let mut zero = barrier.claim(0).unwrap();
        drop(meet(&mut zero, "first", barrier.claim(1).unwrap()));
        let mut one = barrier.claim(1).unwrap();
        barrier.reset().unwrap();
        assert!(zero.wait().is_err());
        one = meet(&mut zero, "second", one);
        one = meet(&mut zero, "third", one);
        let sleeper = on_thread("fourth", one, |one| {
            one.wait().unwrap();
            sleep_long();
        });
        until(|| barrier.arrived() == 1);
        thread::sleep(AFTER / 8);
        zero.wait().unwrap();
        let zero = on_thread("zero", zero, |zero| zero.wait().map(drop));
        let generation = barrier.generation();
        let right = |report: &Report| {
            let thread = report.missing()[0].thread().unwrap();
            thread.name() == Some("fourth") && thread.state() == ThreadState::Sleeping
        };
        let report = next_like(&reports, generation, right);
        assert!(right(&report), "{report}");
        barrier.abort("over");
        assert!(zero.join().unwrap().is_err());
        drop(sleeper);
    });
}

#[test]
fn a_rank_that_is_claimed_again_is_not_blamed_on_the_thread_before() {
    watched("claimed again", patience(), |_| {
        let (barrier, reports) = watched_barrier("halo", 2);
        let mut zero = barrier.claim(0).unwrap();
        let one = on_thread("before", barrier.claim(1).unwrap(), |party| party.wait().map(drop));
        zero.wait().unwrap();
        one.join().unwrap().unwrap();
        until(|| barrier.is_broken());
        let unused = barrier.claim(1).unwrap();
        barrier.reset().unwrap();
        let waiting = on_thread("solver-0", zero, |party| {
            // Told of the break first.
            let _ = party.wait();
            party.wait().unwrap_err()
        });
        let report = next_like(&reports, 2, |_| true);
        assert_eq!(report.hints(), [Hint::NeverCame { rank: 1 }], "{report}");
        assert!(report.missing()[0].thread().is_none());
        drop(unused);
        waiting.join().unwrap();
    });
}
