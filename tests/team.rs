//! Teams: what a run returns, what becomes of one that fails, and that no thread is left behind.

mod common;

use common::watch::panic_quietly;
use common::{few, scaled, watched};
use phalanx::team::{RunError, Team, TeamError};
use phalanx::topology::{Bind, PinError, Topology, startup_mask};
use phalanx::{Broken, Cause, WaitPolicy};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: Duration = common::limit(60);

fn team(threads: usize) -> Team {
    Team::builder().threads(threads).build().unwrap()
}

/// Teams of all sizes, with and without their caller.
fn every_team() -> impl Iterator<Item = Team> {
    let sizes = if cfg!(miri) { &[1, 2, 3][..] } else { &[1, 2, 3, 4, 7, 8, 16] };
    few(sizes.iter()).flat_map(|&threads| {
        few([true, false]).map(move |joins| Team::builder().threads(threads).caller_joins(joins).build().unwrap())
    })
}

/// The threads of this process whose names begin like this.
fn threads_named(prefix: &str) -> usize {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.filter_map(Result::ok).map(name).filter(|name| name.starts_with(prefix)).count()
}

/// A thread that has been joined is still in the list for a moment, while the system takes it down.
fn assert_none_left(prefix: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while threads_named(prefix) > 0 {
        assert!(Instant::now() < until, "{} threads of {prefix} are left", threads_named(prefix));
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn results_come_back_by_rank_and_may_borrow() {
    watched("results_come_back_by_rank_and_may_borrow", LIMIT, |_| {
        for team in every_team() {
            let text = String::from("borrowed");
            for run in 0..scaled(50) {
                let results = team.run(|m| (m.rank(), m.size(), run, &text)).unwrap();
                let expected: Vec<_> = (0..team.size()).map(|rank| (rank, team.size(), run, &text)).collect();
                assert_eq!(results, expected);
            }
        }
    });
}

#[test]
fn results_that_own_memory_are_neither_lost_nor_dropped_twice() {
    struct Counted<'a>(&'a AtomicUsize, Box<usize>);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    watched("results_that_own_memory_are_neither_lost_nor_dropped_twice", LIMIT, |_| {
        let dropped = AtomicUsize::new(0);
        let team = team(3);
        let results = team.run(|m| Counted(&dropped, Box::new(m.rank()))).unwrap();
        assert_eq!(results.iter().map(|result| *result.1).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        drop(results);
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
        // Where one panics, the others' are dropped.
        let failed = team.run(|m| {
            let mine = Counted(&dropped, Box::new(7));
            if m.rank() == 1 {
                panic_quietly();
            }
            mine
        });
        assert!(matches!(failed, Err(RunError::Panicked(panic)) if panic.rank() == 1));
        assert_eq!(dropped.load(Ordering::Relaxed), 6);
    });
}

#[test]
fn every_member_runs_once_on_a_thread_of_its_own() {
    watched("every_member_runs_once_on_a_thread_of_its_own", LIMIT, |_| {
        for team in every_team() {
            let first = team.run(|_| thread::current().id()).unwrap();
            assert_eq!(first.iter().copied().map(|id| format!("{id:?}")).collect::<BTreeSet<_>>().len(), team.size());
            // And on the same one each time.
            assert_eq!(team.run(|_| thread::current().id()).unwrap(), first);
        }
        let joined = team(2).run(|_| thread::current().id()).unwrap();
        assert_eq!(joined[0], thread::current().id());
        let apart = Team::builder().threads(2).caller_joins(false).name("apart").build().unwrap();
        let names = apart.run(|_| thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(names, [Some("apart-0".into()), Some("apart-1".into())]);
    });
}

#[test]
fn members_meet_reduce_and_share_loops() {
    watched("members_meet_reduce_and_share_loops", LIMIT, |_| {
        for team in every_team() {
            let size = team.size();
            let touched: Vec<AtomicUsize> = (0..1000).map(|_| AtomicUsize::new(0)).collect();
            let results = team.try_run(|m| -> Result<(usize, u64, String), Broken> {
                for _ in 0..3 {
                    m.for_each_dynamic(0..touched.len(), 7, |i| {
                        touched[i].fetch_add(1, Ordering::Relaxed);
                    });
                }
                for i in m.chunk(0..touched.len()) {
                    touched[i].fetch_add(10, Ordering::Relaxed);
                }
                m.barrier()?;
                assert!(touched.iter().all(|touched| touched.load(Ordering::Relaxed) == 13));
                let sum = m.all_reduce(m.rank(), |a, b| a + b)?;
                let sent = m.broadcast(m.size() - 1, || 42)?;
                let line = m.serial(|| "one for all".to_owned())?;
                Ok((sum, sent, line))
            });
            assert_eq!(results.unwrap(), vec![(size * (size - 1) / 2, 42, "one for all".to_owned()); size]);
        }
    });
}

#[test]
fn a_panic_of_any_member_at_any_point_is_named_and_the_team_goes_on() {
    watched("a_panic_of_any_member_at_any_point_is_named_and_the_team_goes_on", LIMIT, |_| {
        for team in every_team() {
            for who in 0..team.size() {
                for point in 0..if cfg!(miri) { 2 } else { 4 } {
                    let failed = team.run(|m| {
                        for step in 0..4 {
                            if step == point && m.rank() == who {
                                std::panic::resume_unwind(Box::new(format!("at {step}")));
                            }
                            if let Err(broken) = m.barrier() {
                                assert_eq!(broken.cause(), &Cause::Panicked { rank: who });
                                return;
                            }
                        }
                    });
                    match failed {
                        Err(RunError::Panicked(panic)) => {
                            assert_eq!((panic.rank(), panic.message()), (who, &*format!("at {point}")));
                        }
                        other => panic!("{other:?}"),
                    }
                    assert_eq!(
                        team.try_run(|m| m.all_reduce(1, |a, b| a + b)).unwrap(),
                        vec![team.size(); team.size()]
                    );
                }
            }
        }
    });
}

#[test]
fn an_error_of_any_member_releases_the_others_and_is_returned() {
    #[derive(Debug, PartialEq)]
    enum Error {
        Own(usize),
        Told(Broken),
    }
    impl std::fmt::Display for Error {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            match self {
                Self::Own(rank) => write!(f, "rank {rank} has had enough"),
                Self::Told(broken) => write!(f, "{broken}"),
            }
        }
    }
    watched("an_error_of_any_member_releases_the_others_and_is_returned", LIMIT, |_| {
        for team in every_team() {
            for who in 0..team.size() {
                let told = Mutex::new(Vec::new());
                let failed = team.try_run(|m| {
                    m.barrier().map_err(Error::Told)?;
                    if m.rank() == who {
                        return Err(Error::Own(who));
                    }
                    m.barrier().map(drop).map_err(|broken| {
                        told.lock().unwrap().push(broken.clone());
                        Error::Told(broken)
                    })
                });
                match failed {
                    Err(RunError::Failed { rank, error }) => assert_eq!((rank, error), (who, Error::Own(who))),
                    other => panic!("{other:?}"),
                }
                let told = told.into_inner().unwrap();
                assert_eq!(told.len(), team.size() - 1);
                let message = format!("rank {who} has had enough");
                assert!(
                    told.iter().all(|broken| *broken.cause() == Cause::Failed { rank: who, message: message.clone() })
                );
                assert_eq!(team.run(|m| m.rank()).unwrap().len(), team.size());
            }
        }
    });
}

#[test]
fn a_member_that_returns_early_is_found_missing() {
    watched("a_member_that_returns_early_is_found_missing", LIMIT, |_| {
        for policy in few([WaitPolicy::Adaptive, WaitPolicy::Park, WaitPolicy::Spin]) {
            for threads in few([2, 3]) {
                for who in 0..threads {
                    for late in [Duration::ZERO, Duration::from_millis(30)] {
                        let team = Team::builder().threads(threads).wait_policy(policy).build().unwrap();
                        let results = team.run(|m| {
                            if m.rank() == who {
                                return None;
                            }
                            thread::sleep(late);
                            Some(m.barrier().unwrap_err().cause().clone())
                        });
                        for (rank, told) in results.unwrap().into_iter().enumerate() {
                            assert_eq!(
                                told,
                                (rank != who).then_some(Cause::Dropped { rank: who }),
                                "{policy} {threads}"
                            );
                        }
                        assert_eq!(team.try_run(|m| m.barrier().map(drop)).unwrap().len(), threads);
                    }
                }
            }
        }
    });
}

#[test]
fn a_long_run_that_ends_unevenly_is_no_early_return() {
    watched("a_long_run_that_ends_unevenly_is_no_early_return", LIMIT, |_| {
        let team = team(3);
        for round in 0..scaled(20) {
            // Idle members look after the others while the next run is being called.
            let results = team.try_run(|m| {
                m.barrier()?;
                if m.rank() == round % 3 {
                    thread::sleep(Duration::from_millis(3));
                }
                m.barrier().map(drop)
            });
            assert_eq!(results.unwrap().len(), 3);
            let results = team.try_run(|m| {
                if m.rank() == round % 3 {
                    thread::sleep(Duration::from_millis(5));
                }
                Ok::<_, Broken>(())
            });
            assert_eq!(results.unwrap().len(), 3);
            thread::sleep(Duration::from_millis(round as u64 % 4));
        }
    });
}

#[test]
fn an_arrival_that_nobody_waits_for_does_not_spoil_the_next_run() {
    watched("an_arrival_that_nobody_waits_for_does_not_spoil_the_next_run", LIMIT, |_| {
        let team = team(2);
        for who in 0..2 {
            team.run(|m| {
                if m.rank() == who {
                    drop(m.arrive());
                }
            })
            .unwrap();
            assert_eq!(team.try_run(|m| m.all_reduce(1, |a, b| a + b)).unwrap(), [2, 2]);
        }
    });
}

#[test]
fn a_deadline_and_an_abort_are_told_to_all_and_to_the_caller() {
    watched("a_deadline_and_an_abort_are_told_to_all_and_to_the_caller", LIMIT, |_| {
        let limit = Duration::from_millis(20);
        let team = Team::builder().threads(3).timeout(limit).build().unwrap();
        let failed = team.try_run(|m| {
            if m.rank() == 2 {
                // Within a run: no member has returned.
                thread::sleep(limit * 10);
            }
            m.barrier().map(drop)
        });
        match failed {
            Err(RunError::Broken(broken)) => {
                assert!(matches!(broken.cause(), Cause::TimedOut { .. }), "{broken}");
                assert!(broken.missing().iter().any(|missing| missing.rank == 2), "{broken}");
            }
            other => panic!("{other:?}"),
        }
        let team = Team::builder().threads(2).build().unwrap();
        thread::scope(|s| {
            let team = &team;
            let running = s.spawn(move || {
                team.try_run(|m| {
                    loop {
                        m.barrier()?;
                        // Never returns but by a break.
                        if m.generation() == u64::MAX {
                            return Ok::<(), Broken>(());
                        }
                    }
                })
            });
            thread::sleep(Duration::from_millis(10));
            // Without effect if nothing runs yet: until it has.
            let failed = loop {
                let told = team.abort("enough");
                assert_eq!(told.cause(), &Cause::Aborted { reason: "enough".into() });
                if running.is_finished() {
                    break running.join().unwrap();
                }
                thread::yield_now();
            };
            match failed {
                Err(RunError::Broken(broken)) => {
                    assert_eq!(broken.cause(), &Cause::Aborted { reason: "enough".into() })
                }
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(team.run(|m| m.rank()).unwrap(), [0, 1]);
    });
}

#[test]
fn a_run_within_a_run_is_refused_and_so_is_a_second_caller() {
    watched("a_run_within_a_run_is_refused_and_so_is_a_second_caller", LIMIT, |_| {
        for team in every_team() {
            let team = Arc::new(team);
            let inner = team.run(|_| team.run(|_| ())).unwrap();
            assert!(inner.iter().all(|inner| matches!(inner, Err(RunError::Nested))), "{inner:?}");
            let busy = team.run(|m| {
                let team = Arc::clone(&team);
                (m.rank() == 0).then(|| thread::spawn(move || team.run(|_| ()).unwrap_err()).join().unwrap())
            });
            assert!(matches!(busy.unwrap()[0], Some(RunError::Busy)));
            // A member may run another team.
            let other = Team::builder().threads(2).build().unwrap();
            let nested = team.run(|m| (m.rank() == 0).then(|| other.run(|inner| inner.rank()).unwrap())).unwrap();
            assert_eq!(nested[0], Some(vec![0, 1]));
        }
    });
}

#[test]
fn callers_from_many_threads_are_served_or_refused() {
    watched("callers_from_many_threads_are_served_or_refused", LIMIT, |_| {
        let team = team(2);
        let count = AtomicUsize::new(0);
        let served: usize = thread::scope(|s| {
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    s.spawn(|| {
                        let run = |_: &usize| match team.run(|_| count.fetch_add(1, Ordering::Relaxed)) {
                            Ok(results) => results.len() == 2,
                            Err(RunError::Busy) => false,
                            Err(other) => panic!("{other}"),
                        };
                        (0..scaled(500)).filter(run).count()
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).sum()
        });
        assert!(served > 0);
        assert_eq!(count.into_inner(), 2 * served);
    });
}

#[test]
fn what_cannot_be_built_is_refused_with_the_value() {
    let threads = |threads| Team::builder().threads(threads).build().unwrap_err().to_string();
    assert_eq!(threads(0), "a team has 1 to 65536 members, not 0".replace("65536", &phalanx::MAX_PARTIES.to_string()));
    assert!(threads(usize::MAX).contains(&usize::MAX.to_string()));
    let placement = Topology::detect().place(&Bind::Close, 3, startup_mask()).unwrap();
    let error = Team::builder().threads(2).place(placement).build().unwrap_err();
    assert_eq!(error.to_string(), "the team has 2 members, but the placement is for 3");
    let error = Team::builder().threads(2).place(Bind::List(vec![4096])).build().unwrap_err();
    assert!(matches!(error, TeamError::Place(_)), "{error}");
}

/// B29.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "counts threads in /proc")]
fn a_team_that_cannot_be_completed_leaves_no_thread_behind() {
    watched("a_team_that_cannot_be_completed_leaves_no_thread_behind", LIMIT, |_| {
        for joins in few([true, false]) {
            for rank in usize::from(joins)..5 {
                let builder = Team::builder().threads(5).caller_joins(joins).name("half");
                match builder.fail_spawn_at(rank).build() {
                    Err(TeamError::Spawn { rank: failed, .. }) => assert_eq!(failed, rank),
                    other => panic!("{other:?}"),
                }
                assert_none_left("half");
            }
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_member_that_cannot_be_pinned_is_named_and_no_thread_is_left() {
    watched("a_member_that_cannot_be_pinned_is_named_and_no_thread_is_left", LIMIT, |_| {
        // A machine on paper: its last CPU is none of this process's.
        let on_paper = Topology::flat(&"0-900".parse().unwrap());
        let here = startup_mask().iter().next().unwrap();
        let cpus = [here, here, 900].map(|cpu| on_paper.cpu(cpu).copied());
        let error = Team::builder().threads(3).place(cpus.into_iter().collect::<phalanx::topology::Placement>());
        match error.name("unpinned").build() {
            Err(TeamError::Pin { rank: 2, error: PinError::NotAllowed { cpu: 900, .. } }) => {}
            other => panic!("{other:?}"),
        }
        assert_none_left("unpinned");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn workers_are_where_the_plan_says() {
    watched("workers_are_where_the_plan_says", LIMIT, |_| {
        let team = Team::builder().threads(4).place(Bind::Spread).build().unwrap();
        let cpus = team.run(|_| phalanx::topology::current_cpu()).unwrap();
        for (rank, cpu) in cpus.into_iter().enumerate().skip(1) {
            assert!(team.is_pinned(rank));
            assert_eq!(cpu, team.placement().cpu(rank).map(|cpu| cpu.id).filter(|_| !cfg!(miri)));
        }
        assert!(!team.is_pinned(0) && !team.is_pinned(99));
        let pinned = team.pin_caller().unwrap().unwrap();
        assert_eq!(Some(pinned.cpu()), team.placement().cpu(0).map(|cpu| cpu.id));
    });
}

#[test]
fn a_team_is_dropped_in_every_state() {
    watched("a_team_is_dropped_in_every_state", LIMIT, |_| {
        for policy in few(WaitPolicy::ALL) {
            for joins in few([true, false]) {
                let build = move || Team::builder().threads(3).wait_policy(policy).caller_joins(joins).build().unwrap();
                drop(build()); // never run
                let idle = build();
                idle.run(|_| ()).unwrap();
                thread::sleep(Duration::from_millis(2)); // asleep, or spinning
                drop(idle);
                let hot = build();
                hot.run(|_| ()).unwrap();
                drop(hot);
                let failed = build();
                assert!(
                    failed
                        .run(|m| if m.rank() == 1 {
                            panic_quietly()
                        })
                        .is_err()
                );
                drop(failed);
                let broken = build();
                assert!(broken.try_run(|m| if m.rank() == 2 { Err("no") } else { Ok(()) }).is_err());
                drop(broken);
                // By a thread that unwinds.
                let unwinding = thread::spawn(move || {
                    let team = build();
                    team.run(|_| ()).unwrap();
                    panic_quietly();
                });
                assert!(unwinding.join().is_err());
            }
        }
    });
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "counts threads in /proc")]
fn ten_thousand_teams_leave_no_thread_behind() {
    watched("ten_thousand_teams_leave_no_thread_behind", LIMIT * 5, |_| {
        let cycles = scaled(10_000);
        for cycle in 0..cycles {
            let team = Team::builder().threads(2 + cycle % 2).name("cycle").build().unwrap();
            let sum: usize = team.run(|m| m.rank() + 1).unwrap().into_iter().sum();
            assert_eq!(sum, if cycle % 2 == 0 { 3 } else { 6 });
        }
        assert_none_left("cycle");
    });
}

/// ForkUnion's issue 39: workers that nap instead of sleeping on a word are late by the rest of their nap.
#[test]
fn the_first_run_after_idling_does_not_wait_for_a_nap() {
    watched("the_first_run_after_idling_does_not_wait_for_a_nap", LIMIT, |_| {
        let team = team(2);
        team.run(|_| ()).unwrap();
        let mut waits: Vec<Duration> = (0..scaled(20))
            .map(|_| {
                thread::sleep(Duration::from_millis(10));
                let called = Instant::now();
                team.run(|_| ()).unwrap();
                called.elapsed()
            })
            .collect();
        waits.sort();
        // No time is a pass mark; but the best of many is no multiple of any nap that would save power.
        // (Miri's clock goes by 5 µs per block of code.)
        let nap = Duration::from_millis(if cfg!(miri) { 500 } else { 5 });
        assert!(waits[0] < nap, "{waits:?}");
    });
}

#[test]
fn idle_workers_sleep() {
    watched("idle_workers_sleep", LIMIT, |_| {
        for policy in WaitPolicy::ALL.into_iter().filter(|&policy| policy != WaitPolicy::Spin) {
            let team = Team::builder().threads(2).wait_policy(policy).caller_joins(false).build().unwrap();
            let used = || team.run(|_| common::cpu_time()).unwrap();
            let before = used();
            thread::sleep(Duration::from_millis(200));
            for (before, after) in before.into_iter().zip(used()) {
                let Some((before, after)) = before.zip(after) else { return };
                assert!(after - before < Duration::from_millis(100), "{policy}: {:?}", after - before);
            }
        }
    });
}
