use super::pair::{Lines, ROUNDS, Side};
use super::*;
use crate::primitive::{Ordering, now};
use crate::topology::{current_mask, startup_mask};
use std::sync::mpsc;
use std::thread;

/// Ends the test if `body` does not end.
fn watched<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, ended) = mpsc::channel();
    let worker = thread::spawn(move || done.send(body()));
    match ended.recv_timeout(Duration::from_secs(240)) {
        Ok(answer) => answer,
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{:?}", worker.join().map(drop)),
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("did not end"),
    }
}

fn believable(nanos: f64) -> bool {
    nanos > 0.0 && nanos < 1e6
}

/// Other tests keep the CPUs busy: an error says so in time, and one of many tries finds a quiet moment.
#[test]
fn this_machine_is_measured_within_the_mask() {
    let attempt = || Local::measure(&Topology::detect(), startup_mask());
    let (mask_before, answer, mask_after) = watched(move || {
        let before = current_mask();
        let started = now();
        let mut answer = attempt();
        while matches!(answer, Err(MeasureError::Busy { .. })) && started.elapsed() < Duration::from_secs(120) {
            answer = attempt();
        }
        (before, answer, current_mask())
    });
    assert_eq!(mask_before, mask_after);
    let local = match answer {
        Ok(local) => local,
        Err(MeasureError::TooFew { cpus }) if cpus.len() < 2 => return,
        // No pinning on this system, or none any more of a CPU that was there at the start.
        Err(MeasureError::Pin { source: PinError::Unsupported | PinError::Refused { .. }, .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let Classes { smt, llc, package, machine } = local.classes;
    assert!([smt, llc, package, machine].into_iter().all(believable), "{local}");
    assert!(local.constants.alpha.is_finite() && local.constants.alpha > 0.0, "{local}");
    assert_eq!(local.constants, Constants { alpha: local.constants.alpha, ..Constants::default() });
    assert!(!local.pairs.is_empty());
    for pair in &local.pairs {
        assert!(pair.cpus[0] != pair.cpus[1] && pair.cpus.iter().all(|&cpu| startup_mask().contains(cpu)), "{local}");
        assert!(believable(pair.transfer) && believable(pair.hop), "{local}");
    }
}

#[test]
fn fewer_than_two_cpus_are_too_few() {
    let machine = Topology::regular(1, 1, 1, 4, 1).unwrap();
    let measure = |mask: &str| Local::measure(&machine, &mask.parse().unwrap()).unwrap_err();
    assert_eq!(measure("2"), MeasureError::TooFew { cpus: [2].into_iter().collect() });
    assert_eq!(measure("2").to_string(), "a transfer needs two CPUs, and the mask has only cpu 2");
    // CPU 9 is not there.
    assert_eq!(measure("3,9"), MeasureError::TooFew { cpus: [3].into_iter().collect() });
    let none = Local::measure(&machine, &CpuSet::new()).unwrap_err();
    assert_eq!(none.to_string(), "a transfer needs two CPUs, and the mask has none of this machine's");
}

#[test]
fn who_cannot_be_pinned_is_named() {
    let beyond = startup_mask().iter().next_back().unwrap() + 1;
    let mask: CpuSet = [beyond, beyond + 1].into_iter().collect();
    let measured = {
        let mask = mask.clone();
        watched(move || Local::measure(&Topology::flat(&mask), &mask))
    };
    match measured {
        Err(MeasureError::Pin { cpu, source }) => {
            assert_eq!(cpu, beyond);
            let error = MeasureError::Pin { cpu, source: source.clone() };
            assert_eq!(error.to_string(), format!("no transfer can be measured on cpu {cpu}: {source}"));
            assert_eq!(error.source().unwrap().to_string(), source.to_string());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_partner_who_is_not_there_keeps_nobody() {
    for met in [0, 1] {
        let rounds = watched(move || {
            let lines = Lines::default();
            // With 1 the other came to the meeting and went away.
            lines.met.store(met, Ordering::Relaxed);
            [Side::First, Side::Second].map(|side| lines.play(side, now() + Duration::from_millis(1)).len())
        });
        // The second side meets what the first left behind, and no further.
        assert_eq!(rounds, [0, 0]);
    }
    let late = Lines::default().play(Side::First, now());
    assert!(late.is_empty());
}

/// Not pinned, and with as much time as it takes.
#[test]
fn rounds_have_two_believable_times() {
    let rounds = watched(|| {
        let lines = Lines::default();
        let give_up = now() + Duration::from_secs(1);
        thread::scope(|s| {
            s.spawn(|| lines.play(Side::Second, give_up));
            lines.play(Side::First, give_up)
        })
    });
    assert!(rounds.len() <= ROUNDS);
    assert!(rounds.iter().all(|round| round.transfer > 0.0 && round.hop > 0.0), "{rounds:?}");
}

fn pairs(machine: &Topology, mask: &str) -> Vec<(Distance, [usize; 2])> {
    let mask: CpuSet = mask.parse().unwrap();
    let cpus: Vec<Cpu> = machine.cpus().iter().filter(|cpu| mask.contains(cpu.id)).copied().collect();
    representatives(&cpus)
}

#[test]
fn each_class_of_the_mask_has_its_first_and_last_pair() {
    use Distance::{Llc, Machine, Package, Smt};
    // Two packages of two caches of two cores of two threads, numbered core by core.
    let machine = Topology::regular(2, 1, 2, 2, 2).unwrap();
    let ids: Vec<usize> = machine.cpus().iter().map(|cpu| cpu.id).collect();
    assert_eq!(ids, (0..16).collect::<Vec<_>>());
    let siblings = machine.cpus().iter().filter(|cpu| cpu.core == machine.cpus()[0].core).map(|cpu| cpu.id);
    let [a, b] = <[usize; 2]>::try_from(siblings.collect::<Vec<_>>()).unwrap();
    let all = pairs(&machine, "0-15");
    let classes: Vec<Distance> = all.iter().map(|(distance, _)| *distance).collect();
    assert_eq!(classes, [Smt, Smt, Llc, Llc, Package, Package, Machine, Machine]);
    assert_eq!(all[0].1, [a, b]);
    for (distance, [a, b]) in all {
        assert_eq!(Distance::of(machine.cpu(a).unwrap(), machine.cpu(b).unwrap()), distance);
    }
    assert_eq!(pairs(&machine, &format!("{a},{b}")), [(Smt, [a, b])]);
    assert_eq!(pairs(&machine, "3"), []);
}

#[test]
fn classes_and_alpha_are_medians_and_say_what_they_are_not() {
    let pair = |cpus, distance, transfer, hop| Pair { cpus, distance, transfer, hop };
    let pairs = vec![
        pair([0, 1], Distance::Llc, 40.0, 60.0),
        pair([6, 7], Distance::Llc, 50.0, 60.0),
        pair([0, 4], Distance::Package, 100.0, 140.0),
    ];
    let local = Local::of(pairs).unwrap();
    assert_eq!(local.classes, Classes { smt: 45.0, llc: 45.0, package: 100.0, machine: 100.0 });
    assert_eq!(local.constants, Constants { alpha: 1.4, ..Constants::default() });
    assert_eq!(
        local.to_string(),
        "cpus 0 and 1, one cache: 40.0 ns a transfer, 60.0 ns a hop\n\
         cpus 6 and 7, one cache: 50.0 ns a transfer, 60.0 ns a hop\n\
         cpus 0 and 4, two caches of a package: 100.0 ns a transfer, 140.0 ns a hop\n\
         no pair, so as the nearest class: SMT siblings; two packages\n\
         alpha 1.40; not measured: g_w 0.28, g_r 0.15, c_b 0.1, rmw 1.3, overhead 3 ns",
    );
    assert_eq!(Local::of(Vec::new()), None);
    assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
}

#[test]
fn who_is_too_busy_reads_why() {
    let busy = MeasureError::Busy { cpus: [0, 3], rounds: 2, needed: 7, limit: Duration::from_millis(10) };
    assert_eq!(busy.to_string(), "cpus 0 and 3 are too busy to measure: 2 rounds in 10ms, and 7 are needed");
}
