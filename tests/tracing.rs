//! The events: one for each break and each reset, whatever the cause, with what is known of it; none for a good trip.
#![cfg(feature = "tracing")]

mod common;

use common::{patience, scaled, until, watched};
use phalanx::{Barrier, Broken, CancelToken, Cause};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Level, Metadata, Subscriber};

/// An event as it came: its level, its target, and its fields as text.
#[derive(Clone, Debug)]
struct Heard {
    level: Level,
    target: String,
    fields: BTreeMap<&'static str, String>,
}

impl Heard {
    fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Keeps every event, and counts every span.
#[derive(Clone, Default)]
struct Recorder {
    heard: Arc<Mutex<Vec<Heard>>>,
    spans: Arc<AtomicU64>,
}

impl Recorder {
    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1 + self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let (level, target) = (*metadata.level(), metadata.target().to_owned());
        let mut heard = Heard { level, target, fields: BTreeMap::new() };
        event.record(&mut heard);
        self.heard.lock().unwrap().push(heard);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Runs `parties` on threads of their own, all under `recorder`; what each was told last.
fn crew(recorder: &Recorder, barrier: &Barrier, run: impl Fn(phalanx::Party) -> Option<Broken> + Sync) -> Vec<Broken> {
    let parties = barrier.take_parties().unwrap();
    thread::scope(|scope| {
        let run = &run;
        let workers: Vec<_> = parties
            .into_iter()
            .map(|party| scope.spawn(move || with_default(recorder.clone(), || run(party))))
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().unwrap_or(None)).collect()
    })
}

/// That `heard` is the event of this break.
fn assert_tells(heard: &Heard, name: &str, broken: &Broken) {
    // A handle that goes while nobody waits is how every program ends.
    let farewell = broken.cause().kind() == "dropped" && broken.arrived() == 0;
    let level = if farewell { Level::INFO } else { Level::WARN };
    assert_eq!((heard.level, heard.target.as_str()), (level, "phalanx"), "{heard:?}");
    let missing: Vec<_> = broken.missing().iter().map(|missing| missing.rank.to_string()).collect();
    let expected = [
        ("barrier", name.to_owned()),
        ("generation", broken.generation().to_string()),
        ("cause", broken.cause().kind().to_owned()),
        ("rank", broken.cause().rank().map_or_else(String::new, |rank| rank.to_string())),
        ("parties", broken.parties().to_string()),
        ("arrived", broken.arrived().to_string()),
        ("missing", missing.join(",")),
        ("message", broken.to_string()),
    ];
    for (field, value) in expected {
        assert_eq!(heard.get(field), value, "{field} of {heard:?}");
    }
}

#[test]
fn each_break_is_one_event_that_says_what_everybody_is_told() {
    watched("each_break_is_one_event_that_says_what_everybody_is_told", patience(), |_| {
        type Run = fn(&Barrier, phalanx::Party) -> Option<Broken>;
        let short = Duration::from_millis(2);
        let cases: [(&str, &str, Run); 5] = [
            ("late", "timed_out", |barrier, mut party| match party.rank() {
                0 => party.wait_timeout(Duration::from_millis(2)).err(),
                1 => party.wait().err(),
                _ => {
                    until(|| barrier.is_broken());
                    party.wait().err()
                }
            }),
            ("gone", "dropped", |_, mut party| {
                if party.rank() == 1 {
                    return None;
                }
                party.wait().err()
            }),
            ("panic", "panicked", |_, mut party| {
                if party.rank() == 2 {
                    // Behind the scenes of the test's own output.
                    drop(catch_unwind(AssertUnwindSafe(|| {
                        let _party = party;
                        std::panic::resume_unwind(Box::new("planted"));
                    })));
                    return None;
                }
                party.wait().err()
            }),
            ("action", "action_panicked", |_, mut party| party.wait().err()),
            ("operator", "operator_panicked", |_, mut party| {
                party.all_reduce(1_u32, |_, _| -> u32 { std::panic::resume_unwind(Box::new("planted")) }).err()
            }),
        ];
        for (name, kind, run) in cases {
            let recorder = Recorder::default();
            let mut builder = Barrier::builder(3).name(name).timeout(patience());
            if name == "action" {
                builder = builder.action(|_| std::panic::resume_unwind(Box::new("planted")));
            }
            let barrier = builder.build().unwrap();
            let told = crew(&recorder, &barrier, |party| run(&barrier, party));
            // Handles that go later change nothing.
            thread::sleep(short);
            let heard = recorder.heard();
            assert_eq!(heard.len(), 1, "{name}: {heard:?}");
            assert!(!told.is_empty(), "{name}");
            for broken in told {
                assert_eq!(broken.cause().kind(), kind, "{name}: {broken}");
                assert_tells(&heard[0], name, &broken);
            }
        }
    });
}

/// The parties are released by the verdict itself, and may report it before whoever has broken the trip does.
#[test]
fn the_break_of_a_complete_trip_is_heard_once_whoever_hears_first() {
    watched("the_break_of_a_complete_trip_is_heard_once_whoever_hears_first", patience(), |_| {
        for round in 0..scaled(300) {
            let recorder = Recorder::default();
            let barrier = Barrier::builder(3);
            let barrier = barrier.action(|_| std::panic::resume_unwind(Box::new("planted"))).build().unwrap();
            let told = crew(&recorder, &barrier, |mut party| party.wait().err());
            let heard = recorder.heard();
            assert_eq!((heard.len(), told.len()), (1, 3), "round {round}: {heard:?}");
        }
    });
}

#[test]
fn a_handle_that_goes_is_an_alarm_if_somebody_waits_for_it() {
    watched("a_handle_that_goes_is_an_alarm_if_somebody_waits_for_it", patience(), |_| {
        for waits in [true, false] {
            let recorder = Recorder::default();
            let barrier = Barrier::builder(2).name("left").build().unwrap();
            let mut parties = barrier.take_parties().unwrap();
            let leaver = parties.pop().unwrap();
            let mut stayer = parties.pop().unwrap();
            let broken = thread::scope(|scope| {
                let waiter =
                    waits.then(|| scope.spawn(|| with_default(recorder.clone(), || stayer.wait().unwrap_err())));
                until(|| barrier.arrived() == usize::from(waits));
                with_default(recorder.clone(), || drop(leaver));
                waiter.map(|waiter| waiter.join().unwrap())
            });
            let heard = recorder.heard();
            assert_eq!((heard.len(), heard[0].level), (1, if waits { Level::WARN } else { Level::INFO }), "{heard:?}");
            let broken = broken.unwrap_or_else(|| stayer.wait().unwrap_err());
            assert_tells(&heard[0], "left", &broken);
        }
    });
}

#[test]
fn whoever_breaks_from_outside_is_heard_as_well() {
    watched("whoever_breaks_from_outside_is_heard_as_well", patience(), |_| {
        let recorder = Recorder::default();
        with_default(recorder.clone(), || {
            let token = CancelToken::new();
            let barrier = Barrier::builder(2).name("outside").cancel_on(&token).build().unwrap();
            let mut party = barrier.claim(0).unwrap();
            let broken = barrier.abort("the input ended");
            // The second abort finds it broken, and whoever waits is told what is known.
            barrier.abort("again");
            assert_eq!(party.wait().unwrap_err(), broken);
            let heard = recorder.heard();
            assert_eq!(heard.len(), 1, "{heard:?}");
            assert_tells(&heard[0], "outside", &broken);

            assert_eq!(barrier.reset(), Ok(1));
            let heard = recorder.heard();
            assert_eq!(heard.len(), 2, "{heard:?}");
            assert_eq!((heard[1].level, heard[1].target.as_str()), (Level::INFO, "phalanx"));
            assert_eq!((heard[1].get("barrier"), heard[1].get("generation")), ("outside", "1"));
            assert_eq!(heard[1].get("message"), "reset: the next trip is 1");

            token.cancel("enough");
            let heard = recorder.heard();
            assert_eq!(heard.len(), 3, "{heard:?}");
            assert_tells(&heard[2], "outside", &barrier.broken().unwrap());
            assert_eq!(heard[2].get("cause"), "cancelled");
        });
        // All handles are gone, and that is no news.
        assert_eq!(recorder.heard().len(), 3);
    });
}

#[test]
fn a_reset_while_somebody_waits_is_a_break_and_a_return() {
    watched("a_reset_while_somebody_waits_is_a_break_and_a_return", patience(), |_| {
        let recorder = Recorder::default();
        let barrier = Barrier::builder(2).name("interrupted").build().unwrap();
        let mut parties = barrier.take_parties().unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| with_default(recorder.clone(), || parties[0].wait().unwrap_err()));
            until(|| barrier.arrived() == 1);
            with_default(recorder.clone(), || barrier.reset()).unwrap();
            let broken = waits.join().unwrap();
            assert_eq!(broken.cause(), &Cause::Reset);
            let heard = recorder.heard();
            assert_eq!(heard.len(), 2, "{heard:?}");
            assert_tells(&heard[0], "interrupted", &broken);
            assert_eq!((heard[1].level, heard[1].get("generation")), (Level::INFO, "1"));
        });
    });
}

#[test]
fn good_trips_make_no_event_and_no_span() {
    watched("good_trips_make_no_event_and_no_span", patience(), |_| {
        let recorder = Recorder::default();
        let barrier = Barrier::builder(2).build().unwrap();
        let trips = scaled(10_000) as u64;
        let told = crew(&recorder, &barrier, |mut party| (0..trips).find_map(|_| party.wait().err()));
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(barrier.generation(), trips);
        // Then the handles went: one break, of a trip that nobody has come to, and no cause for alarm.
        let heard = recorder.heard();
        let last = heard.last().map(|heard| (heard.level, heard.get("cause"), heard.get("arrived")));
        assert_eq!((heard.len(), last), (1, Some((Level::INFO, "dropped", "0"))), "{heard:?}");
        assert_eq!(recorder.spans.load(Ordering::Relaxed), 0);
        // That the recorder would have heard.
        with_default(recorder.clone(), || tracing::info!("is it on?"));
        assert_eq!(recorder.heard().last().unwrap().get("message"), "is it on?");
    });
}

#[test]
fn a_subscriber_may_mend_the_barrier_and_may_panic() {
    /// Resets the barrier when it hears of a break, then panics.
    struct Mender(Mutex<Option<Barrier>>, Recorder);

    impl Subscriber for Mender {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            self.1.new_span(span)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.1.event(event);
            let barrier = self.0.lock().unwrap().take();
            if let Some(barrier) = barrier {
                barrier.reset().unwrap();
                std::panic::resume_unwind(Box::new("planted"));
            }
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    watched("a_subscriber_may_mend_the_barrier_and_may_panic", patience(), |_| {
        let recorder = Recorder::default();
        let barrier = Barrier::new(1).unwrap();
        let mut party = barrier.claim(0).unwrap();
        let mender = Mender(Mutex::new(Some(barrier.clone())), recorder.clone());
        with_default(mender, || barrier.abort("to be mended"));
        assert!(party.wait().is_err() && party.wait().is_ok());
        assert_eq!(recorder.heard()[0].get("cause"), "aborted");
    });
}

/// The watchdog has a thread of its own, so a subscriber for this one would not hear it.
#[test]
fn the_watchdogs_reports_are_heard_by_the_programs_subscriber() {
    watched("the_watchdogs_reports_are_heard_by_the_programs_subscriber", patience(), |_| {
        let recorder = Recorder::default();
        tracing::subscriber::set_global_default(recorder.clone()).unwrap();
        let barrier = Barrier::builder(3)
            .name("stuck")
            .watchdog(Duration::from_millis(20), |report| drop(report.break_trip("enough")))
            .build()
            .unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let broken = parties[1].wait().unwrap_err();
        let heard = recorder.heard();
        let mut heard = heard.iter().filter(|heard| heard.get("barrier") == "stuck");
        let report = heard.next().unwrap();
        assert_eq!((report.level, report.target.as_str()), (Level::WARN, "phalanx"));
        let fields = ["generation", "report", "parties", "arrived", "missing", "held"].map(|field| report.get(field));
        assert_eq!(fields, ["0", "1", "3", "1", "0,2", "false"], "{report:?}");
        let seconds: f64 = report.get("stuck_seconds").parse().unwrap();
        assert!(seconds >= 0.02, "{seconds}");
        assert!(report.get("message").starts_with("barrier `stuck`: trip 0 is stuck for "), "{report:?}");
        // And then of what the sink did.
        until(|| {
            recorder.heard().iter().any(|heard| heard.get("cause") == "aborted" && heard.get("barrier") == "stuck")
        });
        assert_eq!(broken.cause(), &Cause::Aborted { reason: "enough".into() });
    });
}
