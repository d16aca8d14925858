//! The threads that play scripts: started once, since thousands of scripts are played.

use super::common::Rng;
use super::common::watch::{Step, Watch, message_of, panic_quietly};
use super::freight::{Got, Share};
use phalanx::{Arrival, Broken, Party, Trip};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

/// What one party does on one trip.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Meet(Manner),
    /// Waits so long at most.
    Limit(Duration),
    Value(Share),
    Leave,
    Desert {
        panics: bool,
    },
    /// Waits, and is to be told of a break: that is no trip of this round.
    Hear,
}

/// How a party meets the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Wait,
    /// With a limit that is never reached.
    Limited,
    Deadline,
    ArriveAndWait,
    ArriveAndAsk,
    ArriveAndAskForTime,
    /// Arrives, asks once, and goes on whatever the answer is.
    ArriveAndPeek,
    /// Arrives, and does not even ask.
    Arrive,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Crossed {
        generation: u64,
        leads: bool,
    },
    Got(Got),
    Told(Broken),
    /// It has arrived, and knows no more.
    Arrived,
    /// Its own closure's panic came back to it.
    Panicked,
    /// It has no handle any more.
    Gone,
    /// A panic that nobody planned.
    Burst(String),
}

/// How a party sees its barrier: its next trip, its place, and how many there are.
pub(crate) type View = (u64, usize, usize);

pub(crate) struct Report {
    pub(crate) worker: usize,
    pub(crate) seen: Vec<Seen>,
    pub(crate) view: Option<View>,
}

pub(crate) enum Order {
    /// Here is your handle.
    Hold(Box<Party>),
    /// Do these, one after the other, until you are told of a break.
    Do(Vec<Deed>, Option<Rng>),
    /// The script is over.
    Release,
}

pub(crate) struct Crew {
    workers: Vec<Sender<Order>>,
    reports: Receiver<Report>,
}

impl Crew {
    pub(crate) fn new<'scope>(scope: &'scope Scope<'scope, '_>, watch: &'scope Watch, size: usize) -> Self {
        let (sender, reports) = channel();
        let workers = (0..size)
            .map(|worker| {
                let ((orders, inbox), sender) = (channel(), sender.clone());
                let named = thread::Builder::new().name(format!("party-{worker}"));
                named.spawn_scoped(scope, move || work(worker, watch, &inbox, &sender)).expect("a thread");
                orders
            })
            .collect();
        Self { workers, reports }
    }

    pub(crate) fn size(&self) -> usize {
        self.workers.len()
    }

    pub(crate) fn order(&self, worker: usize, order: Order) {
        self.workers[worker].send(order).expect("workers outlive scripts");
    }

    /// The next report; `None` if none comes for as long as only a hang takes.
    pub(crate) fn report(&self, limit: Duration) -> Option<Report> {
        self.reports.recv_timeout(limit).ok()
    }
}

fn work(worker: usize, watch: &Watch, orders: &Receiver<Order>, reports: &Sender<Report>) {
    let mut held = None;
    for order in orders {
        match order {
            Order::Hold(party) => held = Some(*party),
            Order::Release => drop(held.take()),
            Order::Do(deeds, rng) => {
                let seen = play(worker, watch, &mut held, deeds, rng);
                let view = held.as_ref().map(|party| (party.generation(), party.index(), party.parties()));
                watch.mark(worker, 0, Step::Done);
                let _ = reports.send(Report { worker, seen, view });
            }
        }
    }
}

fn play(worker: usize, watch: &Watch, held: &mut Option<Party>, deeds: Vec<Deed>, mut rng: Option<Rng>) -> Vec<Seen> {
    let mut seen = Vec::new();
    for deed in deeds {
        if let Some(rng) = &mut rng {
            rng.dawdle();
        }
        watch.mark(worker, held.as_ref().map_or(0, Party::generation), Step::Waiting);
        let outcome =
            catch_unwind(AssertUnwindSafe(|| perform(held, deed))).unwrap_or_else(|panicked| {
                match message_of(&*panicked).as_str() {
                    "planned" => Seen::Panicked,
                    other => Seen::Burst(other.to_owned()),
                }
            });
        let ends = matches!(outcome, Seen::Told(_) | Seen::Gone | Seen::Burst(_)) && !matches!(deed, Deed::Hear);
        seen.push(outcome);
        if ends {
            break;
        }
    }
    seen
}

fn perform(held: &mut Option<Party>, deed: Deed) -> Seen {
    let party = held.as_mut().expect("it has not given its handle up");
    match deed {
        Deed::Meet(manner) => meet(party, manner),
        Deed::Limit(limit) => crossing(party.wait_timeout(limit)),
        Deed::Value(share) => share.bring(party).map_or_else(Seen::Told, Seen::Got),
        Deed::Hear => crossing(party.wait()),
        Deed::Leave => {
            held.take().expect("as above").leave();
            Seen::Gone
        }
        Deed::Desert { panics } => {
            let deserter = held.take();
            let left = catch_unwind(AssertUnwindSafe(move || {
                let _dropped_by_the_panic = deserter;
                if panics {
                    panic_quietly();
                }
            }));
            assert_eq!(left.is_err(), panics);
            Seen::Gone
        }
    }
}

fn crossing(outcome: Result<Trip, Broken>) -> Seen {
    match outcome {
        Ok(trip) => Seen::Crossed { generation: trip.generation(), leads: trip.is_leader() },
        Err(broken) => Seen::Told(broken),
    }
}

fn meet(party: &mut Party, manner: Manner) -> Seen {
    let mut ask = |ask: &mut dyn FnMut(&mut Arrival<'_>) -> Result<Option<Trip>, Broken>| {
        let mut arrival = party.arrive();
        loop {
            match ask(&mut arrival).transpose() {
                Some(answer) => {
                    let again = arrival.try_wait();
                    assert_eq!(again.transpose(), Some(answer.clone()), "asked twice");
                    return crossing(answer);
                }
                None => thread::yield_now(),
            }
        }
    };
    match manner {
        Manner::Wait => crossing(party.wait()),
        Manner::Limited => crossing(party.wait_timeout(Duration::MAX)),
        Manner::Deadline => crossing(party.wait_deadline(Instant::now() + Duration::from_secs(3600))),
        Manner::ArriveAndWait => crossing(party.arrive().wait()),
        Manner::ArriveAndAsk => ask(&mut |arrival| arrival.try_wait()),
        Manner::ArriveAndAskForTime => ask(&mut |arrival| arrival.wait_timeout(Duration::from_micros(20))),
        Manner::ArriveAndPeek => party.arrive().try_wait().transpose().map_or(Seen::Arrived, crossing),
        Manner::Arrive => {
            let _ = party.arrive();
            Seen::Arrived
        }
    }
}
