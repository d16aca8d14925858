//! Trips at which all have arrived, and an action keeps them, where the barrier has gone on meanwhile: somebody has left or
//! joined, or broken what comes next.

use crate::common::{patience, until, watched};
use crate::support::{AFTER, let_time_pass, next_like, none, on_thread, reporting, watched_barrier};
use phalanx::observe::watchdog::{Hint, Report};
use phalanx::{Barrier, Broken, Party, WaitPolicy};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A barrier whose action does not end on the first trip before it is told to, and its parties.
fn hanging(parties: usize) -> (Barrier, Receiver<Report>, Sender<()>, Vec<Party>) {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let builder = Barrier::builder(parties).name("halo").wait_policy(WaitPolicy::Park);
    let builder = builder.action(move |info| {
        if info.generation == 0 {
            gone.lock().unwrap().recv().unwrap();
        }
    });
    let (builder, reports) = reporting(builder, AFTER);
    let barrier = builder.build().unwrap();
    let parties = barrier.take_parties().unwrap();
    (barrier, reports, go, parties)
}

type Waiting = JoinHandle<Result<(), Broken>>;

fn wait_once(party: Party) -> Waiting {
    on_thread("solver", party, |party| party.wait().map(drop))
}

/// Whether it says that this trip is held, by one rank of these, for which the others wait.
fn is_held_by(report: &Report, ranks: &[usize], waiting: usize) -> bool {
    let here = report.present().iter().filter(|present| !present.is_ahead());
    let [absent] = report.missing() else { return false };
    report.is_held()
        && report.arrived() == report.parties()
        && ranks.contains(&absent.rank())
        && here.filter(|present| present.waits_for().is_some()).count() == waiting
        && report.hints() == [Hint::Holds { rank: absent.rank() }]
}

#[test]
fn behind_a_leave() {
    watched("held behind a leave", patience(), |_| {
        let (barrier, reports, go, mut parties) = hanging(3);
        parties.pop().unwrap().leave();
        let waiting: Vec<Waiting> = parties.into_iter().map(wait_once).collect();
        let right = |report: &Report| is_held_by(report, &[0, 1], 1) && report.parties() == 3;
        let report = next_like(&reports, 0, right);
        assert!(right(&report), "{report}");
        assert_eq!(report.break_trip("it is complete"), None);
        assert!(!barrier.is_broken());
        go.send(()).unwrap();
        waiting.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
}

/// Who leaves and is the last to arrive runs the action, and may never have waited.
#[test]
fn by_who_leaves() {
    watched("held by a leaver", patience(), |_| {
        let (barrier, reports, go, mut parties) = hanging(3);
        let leaver = parties.pop().unwrap();
        let waiting: Vec<Waiting> = parties.into_iter().map(wait_once).collect();
        until(|| barrier.arrived() == 2);
        let leaving = std::thread::spawn(move || leaver.leave());
        let right = |report: &Report| is_held_by(report, &[2], 2);
        let report = next_like(&reports, 0, right);
        assert!(right(&report), "{report}");
        go.send(()).unwrap();
        leaving.join().unwrap();
        waiting.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
}

/// The newcomer waits for the trip behind, at which nobody is missing through his own fault.
#[test]
fn behind_a_join() {
    watched("held behind a join", patience(), |_| {
        let (barrier, reports, go, parties) = hanging(2);
        let new = wait_once(barrier.join().unwrap());
        let waiting: Vec<Waiting> = parties.into_iter().map(wait_once).collect();
        let right = |report: &Report| {
            let ahead: Vec<usize> =
                report.present().iter().filter(|present| present.is_ahead()).map(|present| present.rank()).collect();
            is_held_by(report, &[0, 1], 1) && report.parties() == 2 && ahead == [2]
        };
        let report = next_like(&reports, 0, right);
        assert!(right(&report), "{report}");
        go.send(()).unwrap();
        waiting.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        barrier.abort("over");
        new.join().unwrap().unwrap_err();
    });
}

/// The verdict is on the trip behind, which nobody has come to.
#[test]
fn although_the_next_trip_is_broken() {
    watched("held, and the next broken", patience(), |_| {
        let (barrier, reports, go, mut parties) = hanging(3);
        parties.pop().unwrap().leave();
        let waiting: Vec<Waiting> = parties.into_iter().map(wait_once).collect();
        next_like(&reports, 0, Report::is_held);
        assert_eq!(barrier.abort("enough").generation(), 1);
        while reports.try_recv().is_ok() {}
        let right = |report: &Report| is_held_by(report, &[0, 1], 1) && report.parties() == 3;
        let report = next_like(&reports, 0, right);
        assert!(right(&report), "{report}");
        go.send(()).unwrap();
        waiting.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        // Everything is decided.
        while reports.try_recv().is_ok() {}
        let_time_pass();
        none(&reports);
    });
}

/// The same without a change of the members: the alarm for the next trip wakes those who wait, and they wait on.
#[test]
fn although_the_barrier_is_broken() {
    watched("held and broken", patience(), |_| {
        let (barrier, reports, go, parties) = hanging(3);
        let waiting: Vec<Waiting> = parties.into_iter().map(wait_once).collect();
        next_like(&reports, 0, Report::is_held);
        assert_eq!(barrier.abort("enough").generation(), 1);
        while reports.try_recv().is_ok() {}
        let right = |report: &Report| is_held_by(report, &[0, 1, 2], 2);
        let report = next_like(&reports, 0, right);
        assert!(right(&report), "{report}");
        go.send(()).unwrap();
        waiting.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        while reports.try_recv().is_ok() {}
        let_time_pass();
        none(&reports);
    });
}

/// A party that has arrived and gone to work keeps the era before; nobody waits there.
#[test]
fn a_turn_without_an_action_is_not_reported() {
    watched("a turn", patience(), |_| {
        let (barrier, reports) = watched_barrier("turned", 3);
        let mut parties = barrier.take_parties().unwrap();
        parties.pop().unwrap().leave();
        let (mut one, mut zero) = (parties.pop().unwrap(), parties.pop().unwrap());
        let arrival = zero.arrive();
        one.wait().unwrap();
        while reports.try_recv().is_ok() {}
        let_time_pass();
        none(&reports);
        // The next trip is the one that is stuck then.
        let one = wait_once(one);
        let report = next_like(&reports, 1, |_| true);
        assert!(!report.is_held() && report.missing()[0].rank() == 0, "{report}");
        arrival.wait().unwrap();
        zero.wait().unwrap();
        one.join().unwrap().unwrap();
    });
}
