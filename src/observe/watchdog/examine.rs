//! How a report comes about: look at the barrier, look at its threads for some milliseconds, look at the barrier again.

use super::hint::{Elsewhere, Hint, Scene};
use super::patrol::Post;
use super::report::{Absent, Present, Report, Thread};
use super::subject::{Known, Presence, Seat, Snapshot, Subject};
use super::thread_state::{APART, Look, MOST_LOOKS, ThreadState, asleep, classify, name};
use super::vigil::Alarm;
use crate::primitive::thread_id;
use crate::topology::available_cpus;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The threads of so many missing and so many present ranks are looked at, the lowest: to look at ten thousand would take
/// longer than the answer is worth.
const LOOKED_AT: usize = 64;

/// The report on a trip that is stuck; `None` if it moves.
pub(super) fn examine(subject: &Arc<dyn Subject>, alarm: &Alarm, post: &Post, all: &[Arc<Post>]) -> Option<Report> {
    let first = subject.snapshot().filter(|first| first.trip == alarm.trip)?;
    let others = |all: &[Arc<Post>]| -> Vec<Elsewhere> {
        all.iter().filter(|other| other.number != post.number).flat_map(|other| waits_at(other)).collect()
    };
    let before = others(all);
    let threads = watch_threads(&first);
    let after = others(all);
    let last = subject.snapshot().filter(|last| last.is_like(&first))?;

    let now = Instant::now();
    let (mut present, mut missing, mut newcomers) = (Vec::new(), Vec::new(), Vec::new());
    let mut waits_here = Vec::new();
    for seat in &last.ranks {
        let known = seat.known();
        let thread = known.map(|known| {
            let seen = known.id.and_then(|id| threads.get(&id)).cloned();
            let name = known.name.or_else(|| known.id.and_then(name));
            let blank = Thread { name: None, id: known.id, cpu: None, state: ThreadState::Unknown, asleep: None };
            Thread { name, ..seen.unwrap_or(blank) }
        });
        let since = seat.tally.waiting_since().map(|since| now.saturating_duration_since(since));
        let (rank, phase) = (seat.rank, seat.phase);
        match seat.presence {
            Presence::Missing => missing.push(Absent {
                rank,
                handle: seat.handle,
                thread,
                phase,
                arrivals: seat.arrivals,
                last: seat.tally.last_arrived().map(|last| now.saturating_duration_since(last)),
            }),
            presence => {
                if let Some(id) = thread.as_ref().and_then(|thread| thread.id).filter(|_| since.is_some()) {
                    waits_here.push((id, rank));
                }
                let ahead = presence == Presence::Ahead;
                let to = if ahead { &mut newcomers } else { &mut present };
                to.push(Present { rank, anonymous: false, ahead, since, thread, phase });
            }
        }
    }
    present.extend(newcomers);
    let waits =
        |present: &Present| present.thread.as_ref().filter(|_| present.since.is_some()).map(|thread| thread.state);
    let states: Vec<ThreadState> = present.iter().filter_map(waits).collect();
    let all_starve = !states.is_empty() && states.iter().all(|state| *state == ThreadState::Starved);
    let scene = Scene {
        starves: present.first().filter(|_| all_starve).map(|present| present.rank),
        held: last.trip.held,
        parties: last.parties,
        missing: missing.len(),
        cpus: available_cpus(),
        waits_here: &waits_here,
        elsewhere: &both(before, &after),
    };
    let hints = missing.iter().filter_map(|absent| Hint::of(absent, &scene)).collect();
    Some(Report {
        barrier: subject.name(),
        number: subject.number(),
        trip: last.trip,
        parties: last.parties,
        arrived: if last.trip.held { last.parties } else { last.parties - missing.len() },
        cpus: scene.cpus,
        after: post.after(),
        stuck: now.saturating_duration_since(alarm.since),
        count: alarm.count,
        present,
        missing,
        hints,
        subject: Some(post.subject.clone()),
    })
}

/// Who waits at another barrier.
fn waits_at(post: &Post) -> Vec<Elsewhere> {
    let Some(subject) = post.subject.upgrade() else { return Vec::new() };
    let Some(snapshot) = subject.snapshot() else { return Vec::new() };
    let thread = |seat: &Seat| seat.known().and_then(|known| known.id);
    let lacks: Vec<u32> =
        snapshot.ranks.iter().filter(|seat| seat.presence == Presence::Missing).filter_map(thread).collect();
    let waits = |seat: &&Seat| seat.presence != Presence::Missing && seat.tally.waiting_since().is_some();
    let waiting = snapshot.ranks.iter().filter(waits);
    waiting
        .filter_map(|seat| {
            Some(Elsewhere {
                thread: thread(seat)?,
                rank: seat.rank,
                barrier: subject.name().to_string(),
                number: subject.number(),
                generation: snapshot.trip.generation,
                lacks: lacks.clone(),
            })
        })
        .collect()
}

/// Those who were waiting at the same trip at both looks.
fn both(before: Vec<Elsewhere>, after: &[Elsewhere]) -> Vec<Elsewhere> {
    let key = |it: &Elsewhere| (it.thread, it.number, it.generation, it.rank);
    before.into_iter().filter(|one| after.iter().any(|two| key(two) == key(one))).collect()
}

/// Looks at the threads of a trip until it is clear what each of them does. By the kernel's number.
fn watch_threads(snapshot: &Snapshot) -> BTreeMap<u32, Thread> {
    let of = |missing: bool| {
        let those = move |seat: &&Seat| (seat.presence == Presence::Missing) == missing;
        snapshot.ranks.iter().filter(those).filter_map(Seat::known).take(LOOKED_AT)
    };
    let known: Vec<Known> = of(true).chain(of(false)).filter(|known| known.id.is_some()).collect();
    let ids: Vec<(u32, Option<u64>)> = known.iter().filter_map(|known| Some((known.id?, known.start))).collect();
    watch(&ids).into_iter().filter_map(|thread| Some((thread.id?, thread))).collect()
}

/// Looks at threads with these numbers, which were started then, for some milliseconds; at none where not even this one can be seen.
fn watch(ids: &[(u32, Option<u64>)]) -> Vec<Thread> {
    // Where this very thread cannot be seen, nothing can be said of others.
    if ids.is_empty() || thread_id().and_then(Look::at).is_none() {
        return Vec::new();
    }
    let looks = || ids.iter().map(|(id, _)| Look::at(*id)).collect::<Vec<_>>();
    let before = looks();
    let mut after = Vec::new();
    for _ in 0..MOST_LOOKS {
        std::thread::sleep(APART);
        after = looks();
        let open = |(before, after): (&Option<Look>, &Option<Look>)| {
            before.as_ref().zip(after.as_ref()).is_some_and(|(before, after)| after.is_open_since(before))
        };
        if !before.iter().zip(&after).any(open) {
            break;
        }
    }
    let seen = ids.iter().zip(before.iter().zip(&after));
    seen.map(|(&(id, start), (before, after))| {
        let state = classify(before.as_ref(), after.as_ref(), start);
        let sleeps = matches!(state, ThreadState::Sleeping | ThreadState::Blocked);
        let cpu = after.as_ref().filter(|_| state != ThreadState::Gone).map(Look::cpu);
        let asleep = sleeps.then(|| asleep(id));
        Thread { name: None, id: Some(id), cpu, state, asleep }
    })
    .collect()
}

/// The same for those who know of threads no more than the numbers and the names that they had; [`ThreadState::Unknown`] where they
/// cannot be seen.
pub(crate) fn watch_by_number(ids: Vec<(u32, String)>) -> Vec<Thread> {
    let mut seen = watch(&ids.iter().map(|(id, _)| (*id, None)).collect::<Vec<_>>()).into_iter();
    let blank = |id| Thread { name: None, id: Some(id), cpu: None, state: ThreadState::Unknown, asleep: None };
    let whole = |(id, old)| Thread { name: name(id).or(Some(old)), ..seen.next().unwrap_or_else(|| blank(id)) };
    ids.into_iter().map(whole).collect()
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::super::patrol::Sink;
    use super::super::subject::{Handle, Sight, TripId};
    use super::super::vigil::Orders;
    use super::*;
    use crate::error::Broken;
    use crate::wait::Tally;
    use std::collections::VecDeque;
    use std::sync::{Mutex, Weak};
    use std::time::Duration;

    /// A barrier that looks like this, one look after the other, and then as it did last.
    struct Staged(u64, Mutex<VecDeque<Option<Snapshot>>>);

    impl Subject for Staged {
        fn name(&self) -> Arc<str> {
            format!("staged-{}", self.0).into()
        }

        fn number(&self) -> u64 {
            self.0
        }

        fn sight(&self) -> Sight {
            Sight::AtRest
        }

        fn snapshot(&self) -> Option<Snapshot> {
            let mut looks = self.1.lock().unwrap();
            if looks.len() > 1 { looks.pop_front().unwrap() } else { looks[0].clone() }
        }

        fn break_trip(&self, _: TripId, _: String) -> Option<Broken> {
            None
        }
    }

    const TRIP: TripId = TripId { era: 1, generation: 7, held: false };

    /// One rank, with whoever waits with it; its tally says so if it waits.
    fn seat(rank: usize, presence: Presence, thread: Option<u32>) -> Seat {
        let (tally, id) = (Arc::<Tally>::default(), thread);
        let thread = Some(Known { name: Some(format!("worker-{rank}")), id, start: None });
        Seat { rank, presence, handle: Handle::Held, thread, tally, phase: None, arrivals: 7 }
    }

    fn snapshot(trip: TripId, ranks: Vec<Seat>) -> Option<Snapshot> {
        Some(Snapshot { trip, parties: ranks.len(), ranks })
    }

    fn usual() -> Option<Snapshot> {
        snapshot(TRIP, vec![seat(0, Presence::Arrived, None), seat(1, Presence::Missing, None)])
    }

    fn staged(number: u64, looks: Vec<Option<Snapshot>>) -> (Arc<dyn Subject>, Arc<Post>) {
        let subject: Arc<dyn Subject> = Arc::new(Staged(number, Mutex::new(looks.into())));
        let orders = Orders { after: Duration::from_secs(1), break_after: None };
        let post = Post::new(number, Arc::downgrade(&subject), orders, Sink::new(|_| ()));
        (subject, Arc::new(post))
    }

    fn examined(looks: Vec<Option<Snapshot>>) -> Option<Report> {
        let (subject, post) = staged(1, looks);
        let since = Instant::now();
        let alarm = Alarm { trip: TRIP, since, stuck: Duration::from_secs(1), count: 1, breaks: false };
        examine(&subject, &alarm, &post, &[Arc::clone(&post)])
    }

    #[test]
    fn a_trip_that_moves_while_it_is_looked_at_is_not_reported() {
        let report = examined(vec![usual()]).expect("nothing moves");
        assert_eq!((report.arrived(), report.parties(), report.missing()[0].rank()), (1, 2, 1));

        let later = TripId { generation: 8, ..TRIP };
        let renewed = TripId { era: 2, ..TRIP };
        let [here, gone] = [Presence::Arrived, Presence::Missing];
        let pair = |one, two| vec![seat(0, one, None), seat(1, two, None)];
        let mut dropped = pair(here, gone);
        dropped[1].handle = Handle::Dropped;
        let moved = [
            None,
            snapshot(later, pair(here, gone)),
            snapshot(renewed, pair(here, gone)),
            snapshot(TripId { held: true, ..TRIP }, pair(here, gone)),
            snapshot(TRIP, pair(gone, here)),
            snapshot(TRIP, pair(here, here)),
            snapshot(TRIP, dropped),
            snapshot(TRIP, vec![seat(0, here, None), seat(2, gone, None)]),
        ];
        for second in moved {
            let shown = format!("{second:?}");
            assert!(examined(vec![usual(), second.clone()]).is_none(), "{shown}");
            // It is not the trip that the alarm was about.
            let is_that_trip = second.as_ref().is_some_and(|second| second.trip == TRIP);
            assert!(is_that_trip || examined(vec![second, usual()]).is_none(), "{shown}");
        }
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn a_thread_waits_elsewhere_only_if_it_does_so_at_both_looks() {
        let me = thread_id();
        let here = || snapshot(TRIP, vec![seat(0, Presence::Arrived, None), seat(1, Presence::Missing, me)]);
        let there = |waits: bool, generation| {
            let seats = vec![seat(0, Presence::Arrived, me), seat(1, Presence::Missing, None)];
            if waits {
                seats[0].tally.since_now();
            }
            snapshot(TripId { generation, ..TRIP }, seats)
        };
        let cases = [
            (vec![there(true, 3)], true),
            // Another trip, or no wait, or nobody there at one of the looks.
            (vec![there(true, 3), there(true, 4)], false),
            (vec![there(true, 3), there(false, 3)], false),
            (vec![there(false, 3), there(true, 3)], false),
            (vec![None, there(true, 3)], false),
            (vec![there(true, 3), None], false),
        ];
        for (index, (looks, elsewhere)) in cases.into_iter().enumerate() {
            let (subject, post) = staged(1, vec![here()]);
            let (other, other_post) = staged(2, looks);
            let since = Instant::now();
            let alarm = Alarm { trip: TRIP, since, stuck: Duration::from_secs(1), count: 1, breaks: false };
            let report = examine(&subject, &alarm, &post, &[Arc::clone(&post), other_post]).unwrap();
            let found = matches!(&report.hints()[0], Hint::WaitsElsewhere { rank: 1, barrier, generation: 3, .. }
                if barrier == "staged-2");
            assert_eq!(found, elsewhere, "case {index}: {report}");
            drop(other);
        }
    }

    #[test]
    fn a_large_trip_is_reported_in_few_lines() {
        let seats =
            (0..5_000).map(|rank| seat(rank, if rank % 2 == 0 { Presence::Arrived } else { Presence::Missing }, None));
        let report = examined(vec![snapshot(TRIP, seats.collect())]).unwrap();
        assert_eq!((report.missing().len(), report.present().len()), (2_500, 2_500));
        let text = report.to_string();
        assert!(text.lines().count() < 60, "{text}");
        assert!(text.contains(".. and 2484 more"), "{text}");
        let weak: Weak<dyn Subject> = Weak::<Staged>::new();
        assert!(weak.upgrade().is_none() && report.break_trip("gone").is_none());
    }
}
