//! Members on a rayon pool (feature `rayon`): results, failures, and what is refused instead of a deadlock (B23).
#![cfg(all(feature = "rayon", not(miri)))] // rayon's own code is beyond strict provenance

mod common;

use common::watch::panic_quietly;
use common::{few, scaled, watched};
use phalanx::team::RunError;
use phalanx::team::rayon::{PinnedPoolError, SpmdError, pinned, run, try_run};
use phalanx::topology::{Bind, PinError, Placement, Topology, current_cpu, startup_mask};
use phalanx::{Barrier, Broken, BuildError, Cause};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = common::limit(60);

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

#[test]
fn parties_meet_on_the_threads_of_a_pool() {
    watched("parties_meet_on_the_threads_of_a_pool", LIMIT, |_| {
        for threads in few([1, 2, 3, 8]) {
            let pool = pool(threads);
            for parties in 1..=threads {
                for _ in 0..scaled(20) {
                    let text = String::from("borrowed");
                    let results = try_run(&pool, Barrier::builder(parties), |party| -> Result<_, Broken> {
                        party.wait()?;
                        Ok((party.rank(), party.all_reduce(1, |a, b| a + b)?, &text, rayon::current_thread_index()))
                    });
                    let expected: Vec<_> = (0..parties).map(|rank| (rank, parties, &text, Some(rank))).collect();
                    assert_eq!(results.unwrap(), expected);
                }
            }
        }
    });
}

#[test]
fn what_would_wait_for_ever_is_refused() {
    watched("what_would_wait_for_ever_is_refused", LIMIT, |_| {
        let two = pool(2);
        let refused = run(&two, Barrier::builder(3), |_| ()).unwrap_err();
        assert_eq!(refused.to_string(), "refused: 3 parties on a pool of 2 threads would wait for ever");
        let none = run(&two, Barrier::builder(0), |_| ()).unwrap_err();
        assert!(matches!(none, SpmdError::Barrier(BuildError::Parties { parties: 0 })));
        // From inside, in every way of being there.
        let inside = |refused: SpmdError| assert!(matches!(refused, SpmdError::Inside), "{refused}");
        inside(two.install(|| run(&two, Barrier::builder(2), |_| ()).unwrap_err()));
        two.scope(|s| s.spawn(|_| inside(run(&two, Barrier::builder(1), |_| ()).unwrap_err())));
        let nested = run(&two, Barrier::builder(2), |_| run(&two, Barrier::builder(1), |_| ()).unwrap_err()).unwrap();
        nested.into_iter().for_each(inside);
        // And it is as good as before.
        assert_eq!(run(&two, Barrier::builder(2), |party| party.rank()).unwrap(), [0, 1]);
    });
}

#[test]
fn two_callers_at_once_and_callers_from_other_pools_are_served() {
    watched("two_callers_at_once_and_callers_from_other_pools_are_served", LIMIT, |_| {
        let (shared, others) = (pool(3), pool(2));
        let trips = || {
            try_run(&shared, Barrier::builder(3), |party| -> Result<(), Broken> {
                for _ in 0..10 {
                    party.wait()?;
                }
                Ok(())
            })
        };
        thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| (0..scaled(100)).for_each(|_| assert_eq!(trips().unwrap().len(), 3)));
            }
            s.spawn(|| others.scope(|s| (0..4).for_each(|_| s.spawn(|_| assert_eq!(trips().unwrap().len(), 3)))));
        });
    });
}

#[test]
fn a_panic_and_an_error_of_any_party_are_named() {
    watched("a_panic_and_an_error_of_any_party_are_named", LIMIT, |_| {
        let pool = pool(3);
        for who in 0..3 {
            let told = AtomicUsize::new(0);
            let failed = run(&pool, Barrier::builder(3), |party| {
                if party.rank() == who {
                    panic_quietly();
                }
                let broken = party.wait().unwrap_err();
                assert_eq!(broken.cause(), &Cause::Panicked { rank: who });
                told.fetch_add(1, Ordering::Relaxed);
            });
            match failed.unwrap_err() {
                SpmdError::Run(RunError::Panicked(panic)) => {
                    assert_eq!((panic.rank(), panic.message()), (who, "planned"))
                }
                other => panic!("{other}"),
            }
            assert_eq!(told.into_inner(), 2);

            let failed = try_run(&pool, Barrier::builder(3), |party| {
                if party.rank() == who {
                    return Err("own error".to_owned());
                }
                party.wait().map(drop).map_err(|broken| broken.to_string())
            });
            match failed.unwrap_err() {
                SpmdError::Run(RunError::Failed { rank, error }) => {
                    assert_eq!((rank, error.as_str()), (who, "own error"))
                }
                other => panic!("{other}"),
            }
            // A party that is done does not hide the panic of one that comes later.
            let late = run(&pool, Barrier::builder(3), |party| {
                if party.rank() == who {
                    thread::sleep(Duration::from_millis(5));
                    panic_quietly();
                }
            });
            assert!(matches!(late, Err(SpmdError::Run(RunError::Panicked(panic))) if panic.rank() == who));
        }
        assert_eq!(run(&pool, Barrier::builder(3), |party| party.rank()).unwrap(), [0, 1, 2]);
    });
}

#[test]
fn a_party_that_returns_early_releases_the_others() {
    watched("a_party_that_returns_early_releases_the_others", LIMIT, |_| {
        let pool = pool(2);
        let told = run(&pool, Barrier::builder(2), |party| match party.rank() {
            0 => None,
            _ => Some(party.wait().unwrap_err().cause().clone()),
        });
        assert_eq!(told.unwrap(), [None, Some(Cause::Dropped { rank: 0 })]);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn threads_of_a_pinned_pool_are_where_the_plan_says() {
    watched("threads_of_a_pinned_pool_are_where_the_plan_says", LIMIT, |_| {
        let placement = Topology::detect().place(&Bind::Spread, 4, startup_mask()).unwrap();
        let pool = pinned(ThreadPoolBuilder::new().thread_name(|i| format!("pinned-{i}")), &placement).unwrap();
        let cpus = pool.broadcast(|_| current_cpu());
        assert_eq!(cpus, placement.cpus().collect::<Vec<_>>());

        let on_paper = Topology::flat(&"0-900".parse().unwrap());
        let cpus = [startup_mask().iter().next().unwrap(), 900].map(|cpu| on_paper.cpu(cpu).copied());
        match pinned(ThreadPoolBuilder::new(), &cpus.into_iter().collect()).unwrap_err() {
            PinnedPoolError::Pin { thread: 1, error: PinError::NotAllowed { cpu: 900, .. } } => {}
            other => panic!("{other}"),
        }
        let none = pinned(ThreadPoolBuilder::new(), &Placement::anywhere(0)).unwrap_err();
        assert_eq!(none.to_string(), "a placement of 0 ranks: a pool has at least one thread");
    });
}
