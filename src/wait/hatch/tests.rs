//! What a barrier in place learns, and how its waits sleep.

use super::super::lessons::{PAUSE, PAUSE_OF_FEW};
use super::*;
use crate::wait::WaitPolicy;

#[test]
fn who_may_not_learn_stays_awake_whatever_was_in_vain() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(Lessons { pause: 9, ..Lessons::default() }.pack()));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    // Another test may have left a contest at this address.
    place_of(hatch.who()).unwrap().end(hatch.who());
    let wait = |policy| {
        let plan = Plan::new(policy, Some(Duration::MAX), 2, 2, &crate::wait::Calibration::unmeasured());
        let looks = Cell::new(0);
        let ready = || looks.replace(looks.get() + 1) > 3 || words.0.load(Ordering::Relaxed) != 0;
        hatch.long_wait(plan, now(), &ready);
        words.0.swap(0, Ordering::Relaxed) == Hatch::MARK
    };
    let slept = [WaitPolicy::SpinPark, WaitPolicy::SpinYield].map(wait);
    // By Miri's clock every look takes as long as one without a CPU.
    assert!(slept == [false; 2] || cfg!(miri), "{slept:?}");
    let looks = Cell::new(0);
    let plan = Plan::new(WaitPolicy::Adaptive, Some(Duration::MAX), 2, 2, &crate::wait::Calibration::unmeasured());
    let ready = || looks.replace(looks.get() + 1) > 100 || words.0.load(Ordering::Relaxed) != 0;
    hatch.long_wait(plan, now(), &ready);
    assert_eq!(words.0.load(Ordering::Relaxed), Hatch::MARK, "it goes to sleep at its first look");
    assert_eq!(Lessons::unpack(words.2.load(Ordering::Relaxed)).pause, 6);
}

/// Whether a slow yield has begun a contest, in whose second round all sleep at once. Not always: other tests may have the place, and who
/// loses his CPU for long comes behind a round.
fn contends() -> bool {
    let (epoch, costs) = (now(), crate::wait::Calibration::unmeasured());
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    let place = place_of(hatch.who()).unwrap();
    let way = || place.way(hatch.look(epoch, now()));
    let (looks, marked) = (Cell::new(0), || words.0.load(Ordering::Relaxed) != 0);
    let scarce = Plan::new(WaitPolicy::Adaptive, Some(Duration::ZERO), 2, 1, &costs);
    let each_yield_is_slow = Plan { slow_yield: Duration::ZERO, scarce_yields: Duration::MAX, ..scarce };
    let soon = || looks.replace(looks.get() + 1) > 3;
    hatch.long_wait(each_yield_is_slow, epoch, &soon);
    if way() != Some(Way::Awake) {
        return false;
    }
    let plan = Plan::new(WaitPolicy::Adaptive, Some(Duration::MAX), 2, 2, &costs);
    let sleeps = || {
        words.0.store(0, Ordering::Relaxed);
        looks.set(0);
        let ready = || looks.replace(looks.get() + 1) > 100 || marked();
        hatch.watched_wait(plan, epoch, &ready, Duration::from_secs(3600), &mut |_| {});
        marked()
    };
    let first = sleeps();
    std::thread::sleep(Duration::from_millis(1));
    let met_rival = Some(hatch.look(epoch, now()));
    place.note(Wait { who: hatch.who(), start: now().saturating_duration_since(epoch), met_rival });
    while way() == Some(Way::Awake) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let second = sleeps();
    a_wake_ends_a_sleep();
    // Who sleeps without a limit is not seen to do anything else.
    words.0.store(0, Ordering::Relaxed);
    let stint = hatch.long_wait(plan, epoch, &marked);
    let lessons = Lessons::unpack(words.2.load(Ordering::Relaxed));
    let quiet = (stint.spins, stint.yields, lessons.vain, lessons.pause) == (0, 0, 0, 0);
    !first && second && quiet && way() == Some(Way::Asleep)
}

#[test]
fn a_slow_yield_begins_a_contest_in_which_all_sleep_at_once_for_a_round() {
    // By Miri's clock rounds are over before they have begun.
    assert!(cfg!(miri) || (0..100).any(|_| contends()));
}

#[test]
fn a_first_wait_long_behind_the_making_is_one_of_those_far_apart() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    let (epoch, spin) = (now(), Duration::from_micros(10));
    let long_ago = |after| Lessons::unpack(words.2.load(Ordering::Relaxed)).are_long_ago(epoch, now() + after, spin);
    assert!(!long_ago(Duration::from_secs(1)), "nobody has said when it was made");
    hatch.begin(epoch);
    assert!(long_ago(Duration::from_secs(1)) && (!long_ago(Duration::ZERO) || cfg!(miri)));
}

#[test]
fn a_pause_is_slept_through_without_the_clock_until_its_last_trip_which_one_for_each_counts() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    let lessons = || Lessons::unpack(words.2.load(Ordering::Relaxed));
    let epoch = now();
    assert!(!hatch.sleeps_through(), "there is no pause");
    hatch.pause();
    assert_eq!((hatch.sleeps_through(), lessons().pause), (true, Lessons::longest_pause().pause));
    // Comes between the announcement and the sleep.
    let marked = || words.0.load(Ordering::Relaxed) != 0;
    for _ in 0..6 {
        words.0.store(0, Ordering::Relaxed);
        hatch.sleep_through(false, || unreachable!(), marked);
    }
    hatch.sleep_through(true, || unreachable!(), marked);
    assert_eq!((lessons().pause, lessons().apart, lessons().ended), ((Lessons::longest_pause().pause) - 1, true, 0));
    let pause = |left| Lessons { pause: left, vain: 2, doubled: 1, apart: true, ..Lessons::default() };
    for left in [9, 2, 1, 0] {
        words.0.store(0, Ordering::Relaxed);
        words.2.store(Lessons { apart: left > 0, ..pause(left) }.pack(), Ordering::Relaxed);
        assert_eq!(hatch.sleeps_through(), left > 1, "the last one looks at the clock");
        // That there were more when the wait began.
        hatch.sleep_through(true, || unreachable!(), marked);
        let rest = if left > 1 { pause(left - 1) } else { Lessons { apart: left > 0, ..pause(left) } };
        assert_eq!(lessons(), rest);
    }
    a_wake_ends_a_sleep();
    if !Futex::obeys() {
        return; // Another test has had something refused.
    }
    // The last one, far apart: that it did not sleep is no lesson, and that it did is the end.
    let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
    place_of(hatch.who()).unwrap().end(hatch.who());
    let before = pause(1).long_before(epoch, epoch);
    words.0.store(0, Ordering::Relaxed);
    words.2.store(before.pack(), Ordering::Relaxed);
    hatch.long_wait(plan, epoch, &marked);
    assert_eq!(Lessons { ended: 0, ..lessons() }, pause(1));
    words.2.store(before.pack(), Ordering::Relaxed);
    hatch.learn_of_doze(before, Doze { sleeps: 1, woken: true, overslept: false }, Meeting::default(), epoch, now());
    assert_eq!(Lessons { ended: 0, ..lessons() }, Lessons { apart: false, ..pause(0) });
}

#[test]
fn of_those_who_waited_far_apart_for_the_same_trip_one_has_learned_of_it() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    let lessons = || Lessons::unpack(words.2.load(Ordering::Relaxed));
    let epoch = now();
    let slept = Doze { sleeps: 1, woken: true, overslept: false };
    words.2.store(Lessons::default().at(epoch, epoch).pack(), Ordering::Relaxed);
    let at = |millis| epoch + Duration::from_millis(millis);
    // Three wait for each trip, whose ends count as one after the other.
    let trip = |millis| {
        let before = lessons();
        (0..3).for_each(|after| hatch.learn_of_doze(before, slept, Meeting::default(), epoch, at(millis + after)));
        (lessons().vain, lessons().pause, lessons() == Lessons { ..lessons() }.at(epoch, at(millis)))
    };
    a_wake_ends_a_sleep();
    let trips = [10, 20, 30, 40].map(trip);
    if !Futex::obeys() {
        return; // Another test has had something refused.
    }
    assert_eq!(trips, [(1, 0, true), (2, 0, true), (2, PAUSE, true), (2, PAUSE - 1, true)]);
    for (millis, no_lesson) in
        [(60, Doze { sleeps: 0, ..slept }), (70, Doze { overslept: true, woken: false, ..slept })]
    {
        let before = lessons();
        hatch.learn_of_doze(before, no_lesson, Meeting::default(), epoch, at(millis));
        assert_eq!(lessons(), before.at(epoch, at(millis)));
    }
}

#[test]
fn a_wait_right_behind_a_long_sleep_is_far_apart_as_well_but_not_where_parties_outnumber_cpus() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    place_of(hatch.who()).unwrap().end(hatch.who());
    let next_is_far = |cpus| {
        let plan = Plan::new(WaitPolicy::Adaptive, None, 2, cpus, &crate::wait::Calibration::unmeasured());
        let epoch = now();
        words.0.store(0, Ordering::Relaxed);
        words.2.store(Lessons::default().long_before(epoch, epoch).pack(), Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                words.0.fetch_add(2, Ordering::Relaxed);
                hatch.ring();
            });
            hatch.long_wait(plan, epoch, &|| words.0.load(Ordering::Relaxed) >= 2);
        });
        let lessons = Lessons::unpack(words.2.load(Ordering::Relaxed));
        lessons.are_long_ago(epoch, epoch + Duration::from_millis(50), plan.spin)
    };
    // Who is kept from his CPU begins late. (By Miri's clock anything may take as long.)
    assert!(cfg!(miri) || !Futex::obeys() || (0..5).any(|_| next_is_far(2)));
    assert!(!next_is_far(1));
}

// The other queue knows no limits.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn who_dozes_with_a_limit_looks_each_second_and_says_that_nobody_rang() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    let (start, overslept) = (now(), crate::wait::overslept());
    let come = std::sync::atomic::AtomicBool::new(false);
    let doze = std::thread::scope(|scope| {
        scope.spawn(|| {
            while words.0.load(Ordering::Relaxed) & Hatch::MARK == 0 {
                std::thread::yield_now();
            }
            // Nobody rings.
            come.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        hatch.doze_until(true, &|| come.load(std::sync::atomic::Ordering::SeqCst))
    });
    if !Futex::obeys() {
        return; // Another test has had something refused.
    }
    // Who sees it at once does not sleep.
    let slept = doze.sleeps > 0;
    assert_eq!((doze.overslept, doze.woken), (slept, !slept));
    assert!(!slept || (start.elapsed() >= Duration::from_secs(1) && crate::wait::overslept() > overslept));
}

/// So that others sleep without a limit, unless another test has had something refused.
fn a_wake_ends_a_sleep() {
    let bell = Futex::new(0);
    while Futex::obeys() && !Futex::wakes_come() {
        let kept = bell.word().load(Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(1));
                bell.word().fetch_add(1, Ordering::Relaxed);
                bell.wake_all();
            });
            bell.sleep(kept, None, 0);
        });
    }
}

/// Whether somebody looks up within 1.5 seconds of sleep, who waits far apart with such lessons.
#[cfg(all(target_os = "linux", not(miri)))]
fn looks_up(lessons: Lessons, reach: Reach, every: Option<Duration>) -> bool {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach };
    let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
    // Other tests may have had a contest at this address.
    place_of(hatch.who()).unwrap().end(hatch.who());
    let epoch = now();
    words.2.store(lessons.long_before(epoch, epoch).pack(), Ordering::Relaxed);
    let ready = || words.0.load(Ordering::Relaxed) >= 2;
    let stint = std::thread::scope(|scope| {
        scope.spawn(|| {
            while words.0.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(1500));
            if words.0.fetch_add(2, Ordering::Relaxed) & Hatch::MARK != 0 {
                hatch.ring();
            }
        });
        match every {
            Some(every) => hatch.watched_wait(plan, epoch, &ready, every, &mut |_| {}),
            None => hatch.long_wait(plan, epoch, &ready),
        }
    });
    assert!(stint.spins == 0 && stint.yields <= YIELDS);
    stint.parks > 1
}

// The other queue knows no limits.
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn once_a_wake_has_ended_a_sleep_a_wait_far_apart_has_no_limit_unless_somebody_wants_the_time() {
    let lessons = |pause, doubled| Lessons { average: 70, vain: 2, doubled, pause, ..Lessons::default() };
    let hour = Some(Duration::from_secs(3600));
    a_wake_ends_a_sleep();
    if !Futex::obeys() {
        return; // Another test has had something refused.
    }
    let cases = [
        (false, 0, 0, Reach::Process, None),
        (false, 9, 1, Reach::Process, None),
        (false, 0, 1, Reach::Process, None),
        (true, 0, 1, Reach::Process, hour),
        (true, 0, 1, Reach::Machine, None),
    ];
    std::thread::scope(|scope| {
        for (expected, pause, doubled, reach, every) in cases {
            // Who is kept from his CPU falls asleep late.
            let met = move || (0..5).any(|_| looks_up(lessons(pause, doubled), reach, every) == expected);
            scope.spawn(move || assert!(met(), "{expected} {pause} {doubled} {reach:?} {every:?}"));
        }
    });
}

#[test]
fn a_wait_far_apart_that_did_not_sleep_is_no_lesson() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
    let plan = Plan { slow_yield: Duration::MAX, ..plan };
    let epoch = now();
    place_of(hatch.who()).unwrap().end(hatch.who());
    for doubled in [0, 1] {
        let before = Lessons { average: 70, vain: 2, doubled, ..Lessons::default() }.long_before(epoch, epoch);
        words.0.store(0, Ordering::Relaxed);
        words.2.store(before.pack(), Ordering::Relaxed);
        // Comes between the announcement and the sleep, and whoever dozes does not look before but behind a yield.
        let early = Cell::new(0);
        let ready = || {
            let marked = words.0.load(Ordering::Relaxed) != 0;
            early.set(early.get() + u32::from(!marked));
            marked
        };
        let stint = hatch.long_wait(plan, epoch, &ready);
        // Another test may have had something refused.
        assert!((stint.spins, stint.yields, stint.parks) == (0, early.get(), 0) || !Futex::obeys(), "{stint:?}");
        let behind = Lessons::unpack(words.2.load(Ordering::Relaxed));
        assert_eq!(Lessons { ended: 0, ..behind }, Lessons { ended: 0, ..before });
        assert_ne!(behind.ended, before.ended);
    }
}

#[test]
fn a_wait_far_apart_that_slept_without_a_limit_begins_the_next_pause() {
    a_wake_ends_a_sleep();
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    // Another test may have left a contest at this address.
    place_of(hatch.who()).unwrap().end(hatch.who());
    let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
    let plan = Plan { slow_yield: Duration::MAX, ..plan };
    let learned = |millis| {
        let epoch = now();
        // Who sleeps does not come together with others, whatever was so before.
        let before = Lessons { vain: 2, doubled: 1, together: true, ..Lessons::default() }.at(epoch, epoch);
        words.0.store(0, Ordering::Relaxed);
        words.2.store(before.pack(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
        let ready = || words.0.load(Ordering::Relaxed) >= 2;
        let stint = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(millis));
                if words.0.fetch_add(2, Ordering::Relaxed) & Hatch::MARK != 0 {
                    hatch.ring();
                }
            });
            hatch.long_wait(plan, epoch, &ready)
        });
        let lessons = Lessons::unpack(words.2.load(Ordering::Relaxed));
        (stint.spins, stint.yields, stint.parks > 0, lessons.pause, lessons.apart, lessons.together)
    };
    // Who comes too late for the sleep may come earlier the next time.
    let expected = (0, YIELDS, true, PAUSE_OF_FEW, true, false);
    // Another test may have had something refused.
    assert!([5, 50, 500].into_iter().any(|millis| learned(millis) == expected || !Futex::obeys()));
}

#[test]
fn a_sleep_that_nobody_ends_for_good_ends_the_pause() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    hatch.pause();
    let looks = Cell::new(0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
                hatch.wake_spuriously();
            }
        });
        let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
        // Behind the second sleep.
        hatch.sleep_through(false, || Some((plan, now())), || looks.replace(looks.get() + 1) == 3);
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    assert_eq!((looks.get(), hatch.sleeps_through()), (4, false));
}

#[test]
fn a_wait_that_ends_with_a_sleep_was_in_vain_and_one_without_was_not() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    // Another test may have left a contest at this address.
    place_of(hatch.who()).unwrap().end(hatch.who());
    let lessons = || Lessons::unpack(words.2.load(Ordering::Relaxed));
    let plan = |policy| Plan::new(policy, Some(Duration::MAX), 2, 2, &crate::wait::Calibration::unmeasured());
    let epoch = now();
    // Comes at the second look behind the announcement of a sleep.
    let marked = || words.0.load(Ordering::Relaxed) != 0;
    let looks = Cell::new(0);
    let twice = || marked() && looks.replace(looks.get() + 1) > 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !marked() {
                std::thread::yield_now();
            }
            hatch.wake_spuriously();
        });
        let stint = hatch.long_wait(plan(WaitPolicy::Park), epoch, &twice);
        assert_eq!((stint.parks, stint.yields), (1, 0));
    });
    assert_eq!(lessons().vain, 1);
    if cfg!(miri) {
        return; // By its clock every look takes as long as one without a CPU.
    }
    let looks = Cell::new(0);
    let soon = || looks.replace(looks.get() + 1) > 50;
    let stint = hatch.long_wait(plan(WaitPolicy::SpinYield), epoch, &soon);
    assert_eq!((stint.spins, stint.yields, stint.parks), (51, 0, 0));
    assert_eq!(lessons().vain, 0);
    let (looks, plan) = (Cell::new(0), plan(WaitPolicy::SpinYield).at_once());
    let yields = Plan { yields: Duration::MAX, ..plan };
    let soon = || looks.replace(looks.get() + 1) > 50;
    let stint = hatch.long_wait(yields, epoch, &soon);
    assert_eq!((stint.spins, stint.yields, stint.parks), (0, 51, 0));
}

/// A wait far apart with such lessons, for what comes at the second look behind as many yields: what it came to, whether it was about to sleep,
/// and the lessons behind it.
fn met_at_the_second_yield(before: Lessons, plan: Plan) -> (Stint, bool, Lessons) {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    // Another test may have left a contest at this address.
    place_of(hatch.who()).unwrap().end(hatch.who());
    let epoch = now();
    words.2.store(before.long_before(epoch, epoch).pack(), Ordering::Relaxed);
    let looks = Cell::new(0);
    let ready = || words.0.load(Ordering::Relaxed) != 0 || looks.replace(looks.get() + 1) == 1;
    let stint = hatch.long_wait(plan, epoch, &ready);
    (stint, words.0.load(Ordering::Relaxed) != 0, Lessons::unpack(words.2.load(Ordering::Relaxed)))
}

#[test]
fn between_two_pauses_those_far_apart_find_out_whether_they_come_together() {
    a_wake_ends_a_sleep();
    let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
    let before = Lessons { vain: 2, doubled: 1, ..Lessons::default() };
    let (slow, quick) = (Duration::ZERO, Duration::MAX);
    let begun = Lessons { pause: PAUSE_OF_FEW, apart: true, ..before };
    // The last trip of a pause: nobody yields but those who have come together so far.
    let last = Lessons { pause: 1, apart: true, ..before };
    let cases = [
        (before, quick, 2, false, Lessons { together: true, ..begun }),
        // One yield, and to sleep, where it is over.
        (before, slow, 1, true, Lessons { shy: 3, ..before }),
        (Lessons { vain: 0, ..before }, quick, 2, false, Lessons { vain: 1, together: true, ..before }),
        (Lessons { shy: 2, ..before }, quick, 0, true, Lessons { shy: 2, ..before }),
        (last, quick, 0, true, last),
        (Lessons { together: true, ..last }, quick, 2, false, Lessons { together: true, ..before }),
        (Lessons { together: true, ..last }, slow, 1, true, Lessons { shy: 3, ..last }),
    ];
    for (before, slow_yield, yields, marked, after) in cases {
        let (stint, was_marked, lessons) = met_at_the_second_yield(before, Plan { slow_yield, ..plan });
        let found = (stint.yields, was_marked, Lessons { ended: 0, ..lessons });
        // Another test may have had something refused, and then nobody yields.
        assert!(found == (yields, marked, after) || !Futex::obeys(), "{before:?} {slow_yield:?}: {found:?}");
    }
}

#[test]
fn a_pause_of_those_who_come_together_yields_before_it_sleeps() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
    let pause = |left, together| Lessons { pause: left, apart: true, together, ..Lessons::default() };
    let shy = Lessons { shy: 3, ..pause(7, false) };
    for (before, slow, last, marked, after) in [
        // What has come is seen without a yield.
        (pause(8, true), Some(Duration::ZERO), 1, false, pause(7, true)),
        (pause(9, true), None, YIELDS + 1, false, pause(8, true)),
        (pause(9, true), None, YIELDS + 2, true, pause(8, true)),
        (pause(9, false), None, 1, true, pause(8, false)),
        // By the clock.
        (pause(8, true), Some(Duration::MAX), YIELDS + 1, false, pause(7, true)),
        (pause(8, true), Some(Duration::MAX), YIELDS + 2, true, pause(7, true)),
        (pause(8, true), Some(Duration::ZERO), 2, false, shy),
        (pause(8, true), Some(Duration::ZERO), 3, true, shy),
        // Without means there is nothing that is slow.
        (pause(8, true), None, 3, false, pause(7, true)),
    ] {
        words.0.store(0, Ordering::Relaxed);
        words.2.store(before.pack(), Ordering::Relaxed);
        let looks = Cell::new(0);
        let ready = || {
            looks.set(looks.get() + 1);
            looks.get() >= last
        };
        hatch.sleep_through(true, || Some((Plan { slow_yield: slow?, ..plan }, now())), ready);
        let found = (words.0.load(Ordering::Relaxed) != 0, Lessons::unpack(words.2.load(Ordering::Relaxed)));
        assert_eq!((found, looks.get()), ((marked, after), last), "{before:?} {slow:?}");
    }
}

#[test]
fn of_one_trip_a_slow_yield_says_more_than_a_meeting_and_that_more_than_a_sleep() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    let epoch = now();
    let before = Lessons { vain: 2, doubled: 1, ..Lessons::default() };
    // Somebody has learned.
    let pause = Lessons { pause: PAUSE_OF_FEW, apart: true, ended: 7, ..before };
    let (together, shy) = (Lessons { together: true, ..pause }, Lessons { shy: 3, ..pause });
    for (so_far, met, expected) in [
        (pause, false, pause),
        (pause, true, together),
        (together, false, together),
        (together, true, together),
        (shy, false, shy),
        (shy, true, shy),
    ] {
        words.2.store(so_far.pack(), Ordering::Relaxed);
        hatch.learn_of_doze(before, Doze::NONE, Meeting { yields: 1, met }, epoch, now());
        assert_eq!(Lessons::unpack(words.2.load(Ordering::Relaxed)), expected, "{so_far:?} {met}");
    }
    for so_far in [pause, together, shy] {
        words.2.store(so_far.pack(), Ordering::Relaxed);
        hatch.note_rivals();
        assert_eq!(Lessons::unpack(words.2.load(Ordering::Relaxed)), shy);
    }
    let begin = |lessons: Lessons| Lessons { pause: 0, apart: false, ..lessons }.after_one_of_few(true);
    let shy_for: Vec<_> =
        std::iter::successors(Some(shy), |&lessons| Some(begin(lessons))).map(|lessons| lessons.shy).take(5).collect();
    assert_eq!(shy_for, [3, 2, 1, 0, 0]);
}

#[test]
fn a_wait_that_looks_up_keeps_what_others_have_found_out_of_coming_together() {
    let words = (AtomicU64::new(0), Futex::new(0), AtomicU64::new(0));
    let hatch = Hatch { word: &words.0, bell: &words.1, lessons: &words.2, reach: Reach::Process };
    // Another test may have left a contest at this address.
    place_of(hatch.who()).unwrap().end(hatch.who());
    let plan = Plan::new(WaitPolicy::Adaptive, None, 2, 2, &crate::wait::Calibration::unmeasured());
    let (epoch, before) = (now(), Lessons { pause: 9, together: true, ..Lessons::default() });
    words.2.store(before.pack(), Ordering::Relaxed);
    // A fellow does, before what is waited for comes.
    let ready = || {
        hatch.note_rivals();
        true
    };
    hatch.watched_wait(plan, epoch, &ready, Duration::from_secs(3600), &mut |_| {});
    let after = Lessons::unpack(words.2.load(Ordering::Relaxed));
    assert_eq!((after.pause, after.together, after.shy), (8, false, 3));
}
