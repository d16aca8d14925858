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
                to.push(Present { rank, ahead, since, thread, phase });
            }
        }
    }
    present.extend(newcomers);
    let scene = Scene {
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
        cpus: scene.cpus,
        after: post.after(),
        stuck: now.saturating_duration_since(alarm.since),
        count: alarm.count,
        present,
        missing,
        hints,
        subject: post.subject.clone(),
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
    let known: Vec<(u32, Known)> = of(true).chain(of(false)).filter_map(|known| Some((known.id?, known))).collect();
    // Where this very thread cannot be seen, nothing can be said of others.
    if thread_id().and_then(Look::at).is_none() {
        return BTreeMap::new();
    }
    let looks = || known.iter().map(|(id, _)| Look::at(*id)).collect::<Vec<_>>();
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
    let seen = known.iter().zip(before.iter().zip(&after));
    seen.map(|((id, known), (before, after))| {
        let state = classify(before.as_ref(), after.as_ref(), known.start);
        let sleeps = matches!(state, ThreadState::Sleeping | ThreadState::Blocked);
        let cpu = after.as_ref().filter(|_| state != ThreadState::Gone).map(Look::cpu);
        let asleep = sleeps.then(|| asleep(*id));
        (*id, Thread { name: None, id: Some(*id), cpu, state, asleep })
    })
    .collect()
}
