//! The log: its lines to the letter, that a line stays a line, that nothing is lost without being counted, and that a sink
//! may do what it likes.

mod common;

use common::watch::panic_quietly;
use common::{few, patience, scaled, until, watched};
use phalanx::observe::Log;
use phalanx::{Algorithm, Barrier, Cause, Party};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// As many as come.
const ALL: u32 = u32::MAX;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn sink(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let Self(lines) = self.clone();
        move |line| lines.lock().unwrap().push(line.to_owned())
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// The value of `key`, as it is written.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split(' ').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

fn suppressed(lines: &[String]) -> u64 {
    lines.iter().filter_map(|line| field(line, "suppressed")).map(|count| count.parse::<u64>().unwrap()).sum()
}

#[test]
fn a_line_for_each_trip_break_and_reset() {
    let lines = Lines::default();
    let barrier =
        Barrier::builder(2).name("halo").first_generation(4711).log(Log::trips(lines.sink())).build().unwrap();
    let mut parties = barrier.take_parties().unwrap();
    thread::scope(|scope| {
        let (left, right) = parties.split_at_mut(1);
        scope.spawn(|| left[0].wait().unwrap());
        right[0].wait().unwrap();
    });
    let leader = lines.all()[0].split_once("leader=").unwrap().1.to_owned();
    parties[1].wait_timeout(Duration::from_millis(1)).unwrap_err();
    assert!(parties[0].wait().is_err(), "who is told as well writes no line of its own");
    assert!(parties[1].wait().is_err());
    assert_eq!(barrier.reset().unwrap(), 4713);
    barrier.abort("two\nlines, \"quoted\"");
    drop(parties);
    let all = lines.all();
    assert_eq!(all[0], format!("phalanx barrier=halo trip=4711 outcome=complete parties=2 leader={leader}"));
    assert!(
        all[1].starts_with(
            "phalanx barrier=halo trip=4712 outcome=broken cause=timed_out rank=1 parties=2 arrived=1 missing=0 \
             text=\"trip 4712 broken: rank 1 timed out after 1 ms; not arrived: rank 0"
        ),
        "{}",
        all[1]
    );
    assert_eq!(all[2], "phalanx barrier=halo outcome=reset next=4713");
    assert!(all[3].starts_with(
        "phalanx barrier=halo trip=4713 outcome=broken cause=aborted parties=2 arrived=0 missing=0,1 \
         text=\"trip 4713 broken: aborted: two\\nlines, \\\"quoted\\\"; not arrived: ranks 0"
    ));
    assert_eq!(all.len(), 4);
}

#[test]
fn a_long_list_of_the_missing_is_cut() {
    let lines = Lines::default();
    let barrier = Barrier::builder(40).log(Log::breaks(lines.sink())).build().unwrap();
    barrier.abort("early");
    assert_eq!(field(&lines.all()[0], "missing"), Some("0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,+24"));
}

#[test]
fn a_line_stays_a_line_whatever_the_names_are() {
    for name in ["a b", "a\nb", "\r\n\u{1b}[2J\u{2028}\u{85}", "x=\"1\"", "", "\\"] {
        let lines = Lines::default();
        let barrier = Barrier::builder(1).name(name).log(Log::trips(lines.sink())).build().unwrap();
        barrier.claim(0).unwrap().wait().unwrap();
        barrier.abort(format!("because of {name}"));
        let all = lines.all();
        assert_eq!(all.len(), 2, "{all:?}");
        for line in all {
            assert!(
                line.starts_with("phalanx barrier=\"") && !line.contains(|c: char| c.is_control() || c == '\u{2028}')
            );
        }
    }
}

/// One line for each trip, in any algorithm, however the parties wait.
#[test]
fn each_trip_has_one_line() {
    watched("each_trip_has_one_line", patience(), |_| {
        let trips = scaled(200) as u64;
        for algorithm in few(Algorithm::NAMED) {
            for parties in few([1, 2, 3, 5, 8]) {
                let lines = Lines::default();
                let log = Log::trips(lines.sink()).per_second(ALL);
                let barrier = Barrier::builder(parties).algorithm(algorithm).log(log).build().unwrap();
                cross(&barrier, trips);
                drop(barrier);
                let all = lines.all();
                let complete: Vec<&String> =
                    all.iter().filter(|line| field(line, "outcome") == Some("complete")).collect();
                for line in &complete {
                    assert_eq!(field(line, "parties"), Some(parties.to_string().as_str()));
                }
                let mut numbers: Vec<u64> =
                    complete.iter().map(|line| field(line, "trip").unwrap().parse().unwrap()).collect();
                numbers.sort_unstable();
                assert_eq!(numbers, (0..trips).collect::<Vec<_>>(), "{algorithm:?}, {parties} parties");
                // And the drop of the first handle, perhaps before the last leader has written its line.
                assert_eq!((all.len() as u64, suppressed(&all)), (trips + 1, 0));
                assert_eq!(all.iter().filter(|line| field(line, "cause") == Some("dropped")).count(), 1);
            }
        }
    });
}

fn cross(barrier: &Barrier, trips: u64) {
    thread::scope(|scope| {
        for mut party in barrier.take_parties().unwrap() {
            scope.spawn(move || {
                for trip in 0..trips {
                    if trip % 3 == 0 {
                        party.arrive().wait().unwrap();
                    } else {
                        party.wait().unwrap();
                    }
                }
            });
        }
    });
}

/// Whose operator panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Panics {
    All,
    /// While the others are at theirs.
    One,
    /// When the others have left.
    OneLate,
}

/// A trip that breaks for what rides on it has the line of the break and no other, although all have crossed it; and one
/// that does not break for it has that of the trip.
#[test]
fn a_trip_is_not_called_complete_before_what_rides_on_it_is_done() {
    watched("a_trip_is_not_called_complete_before_what_rides_on_it_is_done", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            for (parties, act) in few([(2, false), (3, false), (5, false), (2, true), (3, true)]) {
                for panics in few([Panics::All, Panics::One, Panics::OneLate]) {
                    let lines = Lines::default();
                    let log = Log::trips(lines.sink()).per_second(ALL);
                    let builder = Barrier::builder(parties).algorithm(algorithm).log(log);
                    let builder = if act { builder.action(|_| {}) } else { builder };
                    let barrier = builder.build().unwrap();
                    // Kept, so that no drop is logged.
                    let kept = ride(&barrier, panics);
                    let all = lines.all();
                    let case = format!("{algorithm:?}, {parties} parties, action: {act}, {panics:?}: {all:?}");
                    let mut told: Vec<_> = all
                        .iter()
                        .map(|line| (field(line, "trip").unwrap(), field(line, "outcome").unwrap()))
                        .collect();
                    told.sort_unstable();
                    let fate = if panics == Panics::OneLate { "complete" } else { "broken" };
                    let good = ["0", "1", "2", "3"].map(|trip| (trip, "complete"));
                    assert_eq!(told, [&good[..], &[("4", fate)]].concat(), "{case}");
                    assert_eq!(
                        all.iter().filter(|line| field(line, "cause") == Some("operator_panicked")).count(),
                        usize::from(fate == "broken"),
                        "{case}"
                    );
                    drop(kept);
                }
            }
        }
    });
}

/// Four good trips, and one on which an operator panics.
fn ride(barrier: &Barrier, panics: Panics) -> Vec<Party> {
    let parties = barrier.parties();
    let left = AtomicUsize::new(0);
    let cross = &|mut party: Party| {
        party.wait().unwrap();
        assert_eq!(party.all_reduce(1, |a, b| a + b).unwrap(), parties);
        party.cloning().all_reduce(1, |a, b| a + b).unwrap();
        party.arrive().wait().unwrap();
        let alone = party.rank() == 0;
        let operator = |a: u32, b: u32| match panics {
            Panics::All => panic_quietly(),
            Panics::One if alone => panic_quietly(),
            Panics::One => {
                until(|| barrier.is_broken());
                a + b
            }
            Panics::OneLate if alone => {
                until(|| left.load(Ordering::SeqCst) == parties - 1);
                panic_quietly()
            }
            Panics::OneLate => a + b,
        };
        let reduced = catch_unwind(AssertUnwindSafe(|| party.all_reduce(1, operator)));
        left.fetch_add(1, Ordering::SeqCst);
        match (panics, reduced) {
            (Panics::OneLate, Err(_)) => assert!(alone),
            (Panics::OneLate, Ok(sum)) => assert_eq!((sum.unwrap() as usize, alone), (parties, false)),
            (_, reduced) => assert_eq!(reduced.unwrap().unwrap_err().generation(), 4),
        }
        party
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            barrier.take_parties().unwrap().into_iter().map(|party| scope.spawn(move || cross(party))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// What is written and what is counted add up; and the break is written, however many trips there were before.
#[test]
fn no_line_is_lost_without_being_counted() {
    watched("no_line_is_lost_without_being_counted", patience(), |_| {
        for (limit, trips) in few([(10, 5_000), (1, 100), (0, 50), (1000, 20)]) {
            let trips = scaled(trips) as u64;
            let lines = Lines::default();
            let log = Log::trips(lines.sink()).per_second(limit);
            let barrier = Barrier::builder(3).log(log).build().unwrap();
            cross(&barrier, trips);
            drop(barrier);
            let all = lines.all();
            let of = |outcome: &str| all.iter().filter(|line| field(line, "outcome") == Some(outcome)).count() as u64;
            // One break: the drop of the first handle.
            assert_eq!(of("complete") + of("broken") + suppressed(&all), trips + 1, "{all:?}");
            assert_eq!(of("broken"), u64::from(limit > 0));
            assert!(of("complete") >= u64::from(limit).min(trips));
            if u64::from(limit) < trips / 2 && !cfg!(miri) {
                assert!(suppressed(&all) > 0);
            }
            assert!(all.len() as u64 == of("complete") + of("broken") + of("closed") && of("closed") <= 1);
        }
    });
}

#[test]
fn breaks_and_resets_are_limited_and_counted_as_well() {
    let lines = Lines::default();
    let barrier = Barrier::builder(1).log(Log::breaks(lines.sink()).per_second(5)).build().unwrap();
    let mut party = barrier.claim(0).unwrap();
    let storms = scaled(2_000) as u64;
    for _ in 0..storms {
        barrier.abort("storm");
        barrier.reset().unwrap();
    }
    party.wait().unwrap_err();
    party.wait().unwrap();
    drop((party, barrier));
    let all = lines.all();
    let closed = all.iter().filter(|line| field(line, "outcome") == Some("closed")).count() as u64;
    // And the drop of the handle.
    assert_eq!(all.len() as u64 - closed + suppressed(&all), 2 * storms + 1);
    assert!(all.len() >= 5);
}

/// A sink that panics is no concern of the barrier's, in whatever thread and however often.
#[test]
fn a_sink_may_panic() {
    watched("a_sink_may_panic", patience(), |_| {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let log = Log::trips(|_| {
            CALLS.fetch_add(1, Ordering::SeqCst);
            panic_quietly()
        });
        let after = Lines::default();
        let barrier =
            Barrier::builder(3).log(log.per_second(ALL)).log(Log::trips(after.sink()).per_second(ALL)).build().unwrap();
        cross(&barrier, 40);
        until(|| after.all().len() == 41);
        assert_eq!(CALLS.load(Ordering::SeqCst), 41);
    });
}

/// A sink may look at the barrier and break it, from within the line of a trip, with and without an action; and the line that
/// comes of that is counted, not handed over within itself.
#[test]
fn a_sink_may_use_the_barrier() {
    watched("a_sink_may_use_the_barrier", patience(), |_| {
        for act in few([false, true]) {
            let home: Arc<OnceLock<Barrier>> = Arc::default();
            let lines = Lines::default();
            let (at_hand, write) = (Arc::downgrade(&home), lines.sink());
            let log = Log::trips(move |line| {
                write(line);
                let home = at_hand.upgrade().unwrap();
                let barrier = home.get().unwrap();
                let seen = (barrier.arrived(), barrier.missing(), barrier.explain(), barrier.is_broken());
                assert!(seen.0 <= barrier.parties());
                if field(line, "trip") == Some("9") {
                    barrier.abort("enough");
                }
            });
            let mut builder = Barrier::builder(3).log(log.per_second(ALL));
            if act {
                builder = builder.action(|_| {});
            }
            let barrier = builder.build().unwrap();
            home.set(barrier.clone()).unwrap();
            thread::scope(|scope| {
                for mut party in barrier.take_parties().unwrap() {
                    scope.spawn(move || while party.wait().is_ok() {});
                }
            });
            let all = lines.all();
            assert_eq!(all.len(), 10, "the line of the break would have come up within that of trip 9: {all:?}");
            assert_eq!(barrier.broken().unwrap().cause(), &Cause::Aborted { reason: "enough".into() });
        }
    });
}

/// Answers each line with another.
#[test]
fn a_sink_that_never_stops_is_stopped() {
    watched("a_sink_that_never_stops_is_stopped", patience(), |_| {
        let home: Arc<OnceLock<Barrier>> = Arc::default();
        let lines = Lines::default();
        let (at_hand, write) = (Arc::downgrade(&home), lines.sink());
        let log = Log::breaks(move |line| {
            write(line);
            if let Some(barrier) = at_hand.upgrade().as_ref().and_then(|home| home.get()) {
                barrier.abort("again");
                let _ = barrier.reset();
            }
        });
        let barrier = Barrier::builder(1).log(log.per_second(ALL)).build().unwrap();
        home.set(barrier.clone()).unwrap();
        let party = barrier.claim(0).unwrap();
        barrier.abort("first");
        barrier.abort("second");
        let all = lines.all();
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all[1].ends_with(" suppressed=1"), "{all:?}");
        drop(party);
    });
}
