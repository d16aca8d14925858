//! Teams and lockstep engines: their barriers are watched, and carry their names.

use crate::common::{patience, watched};
use crate::support::AFTER;
use phalanx::observe::watchdog::{Hint, Report};
use phalanx::team::lockstep::{At, Failure, Fault, Front, Lockstep, LockstepError, Stop, World};
use phalanx::team::{Team, TeamBuilder};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};

/// What keeps a member away until the watchdog has spoken.
#[derive(Clone, Default)]
struct Trap(Arc<Inner>);

#[derive(Default)]
struct Inner {
    reports: Mutex<Vec<Report>>,
    bell: Condvar,
    /// Somebody is in it; before, a busy machine may have made others late.
    shut: AtomicBool,
    open: AtomicBool,
}

impl Trap {
    /// A team whose watchdog breaks a stuck trip and opens the trap.
    fn around(&self, threads: usize) -> TeamBuilder {
        let trap = self.clone();
        Team::builder().threads(threads).name("solver").watchdog(AFTER, move |report| {
            if !trap.0.shut.load(SeqCst) || report.break_trip("somebody is missing").is_none() {
                return;
            }
            trap.0.reports.lock().unwrap().push(report.clone());
            trap.0.open.store(true, SeqCst);
            trap.0.bell.notify_all();
        })
    }

    fn sleep(&self) {
        let Inner { reports, bell, shut, open } = &*self.0;
        let reports = reports.lock().unwrap();
        shut.store(true, SeqCst);
        drop(bell.wait_while(reports, |_| !open.load(SeqCst)).unwrap());
    }

    fn compute(&self) {
        self.0.shut.store(true, SeqCst);
        while !self.0.open.load(SeqCst) {
            std::hint::spin_loop();
        }
    }

    fn report(&self) -> Report {
        self.0.reports.lock().unwrap().remove(0)
    }
}

#[test]
fn a_member_that_does_not_come_is_named() {
    watched("a team", patience(), |_| {
        let trap = Trap::default();
        let team = trap.around(3).build().unwrap();
        let told = team.try_run(|m| {
            m.set_phase("assemble");
            m.barrier()?;
            if m.rank() == 2 {
                m.set_phase("look up");
                trap.sleep();
            }
            m.barrier()
        });
        assert!(told.unwrap_err().to_string().contains("somebody is missing"));
        let report = trap.report();
        assert_eq!((report.barrier(), report.generation(), report.missing()[0].rank()), ("solver", 1, 2));
        assert_eq!(report.missing()[0].phase(), Some("look up"));
        assert_eq!(report.missing()[0].thread().unwrap().name(), Some("solver-2"));
        let phases: Vec<_> = report.present().iter().map(|present| present.phase()).collect();
        assert_eq!(phases, [Some("assemble"); 2]);
    });
}

/// A world that counts, in which one member falls into the trap at some tick.
struct Counting {
    trap: Trap,
    victim: usize,
    phases: usize,
    sleeps: bool,
}

impl World for Counting {
    type Part = u64;
    type Measure = u64;

    fn part(&self, _: usize, _: usize) -> u64 {
        0
    }

    fn phases(&self) -> usize {
        self.phases
    }

    fn step(&self, at: At, _: Front<'_, u64>, back: &mut u64) -> Result<(), Fault> {
        *back = at.tick + 1;
        if at.index == self.victim && at.tick == 3 && at.phase + 1 == self.phases {
            if self.sleeps { self.trap.sleep() } else { self.trap.compute() }
        }
        Ok(())
    }

    fn measure(&self, part: &u64) -> u64 {
        *part
    }

    fn combine(&self, a: u64, b: u64) -> u64 {
        a + b
    }
}

/// Any one of eight members of a lockstep run, asleep or at work without end.
#[test]
fn whichever_member_of_a_lockstep_run_is_stuck_is_named() {
    watched("lockstep", patience(), |_| {
        for victim in 0..8 {
            let (sleeps, phases) = (victim % 2 == 0, 1 + victim % 3);
            let trap = Trap::default();
            let team = trap.around(8).build().unwrap();
            let world = Counting { trap: trap.clone(), victim, phases, sleeps };
            let mut engine = Lockstep::builder(world).build(&team).unwrap();
            let LockstepError::Tick { tick: 3, failure: Failure::Broken(broken), .. } =
                engine.run(Stop::after(10)).unwrap_err()
            else {
                panic!("tick 3 is broken");
            };
            assert!(broken.to_string().contains("aborted: somebody is missing"), "{broken}");
            let report = trap.report();
            assert_eq!((report.barrier(), report.parties()), ("solver/lockstep", 8));
            assert_eq!(report.generation(), (3 * phases + phases - 1) as u64);
            assert_eq!((report.missing().len(), report.missing()[0].rank()), (1, victim), "{report}");
            let phase = ["tick", "phase 1", "phase 2"][phases - 1];
            assert_eq!(report.missing()[0].phase(), Some(phase));
            match &report.hints()[0] {
                Hint::Asleep { rank, call } if sleeps => assert_eq!((*rank, call.as_deref()), (victim, Some("futex"))),
                // Also of one that is about to sleep and has no CPU to do so.
                Hint::Working { rank } | Hint::Oversubscribed { rank, .. } => assert_eq!(*rank, victim),
                other => panic!("{other:?}: {report}"),
            }
        }
    });
}
