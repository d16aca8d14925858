//! How a preloaded program waits, by what the environment says: seen in its statistics.

// Not all of it is used by each file of tests.
#[allow(dead_code)]
mod support;

use std::thread::available_parallelism;
use support::{preloaded, program, run, skip};

/// Two threads and 40 trips, to each of which the other is late by 3 ms.
const PAIR: &str = r#"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static pthread_barrier_t barrier;
static void *cross(void *late) {
    for (int trip = 0; trip < 40; trip++) {
        if (late) usleep(3000);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}
int main(void) {
    pthread_t other;
    if (pthread_barrier_init(&barrier, NULL, 2)) return 3;
    pthread_create(&other, NULL, cross, &barrier);
    cross(NULL);
    pthread_join(other, NULL);
    if (pthread_barrier_destroy(&barrier)) return 4;
    puts("done");
    return 0;
}
"#;

#[test]
fn spins_yields_and_sleeps_are_what_the_environment_asks_for() {
    let Some(pair) = program("cc", &[], "pair", PAIR) else { return };
    if available_parallelism().map_or(1, usize::from) < 2 {
        return skip("pair", "with one CPU nobody spins who need not");
    }
    let waits = |settings: &[(&str, &str)]| {
        let ended = run(preloaded(&pair, settings).env("PHALANX_PRELOAD_STATS", "1"));
        assert_eq!((ended.status, ended.out.as_str()), (0, "done\n"), "{ended:?}");
        let mut lines = ended.err.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = lines.find(|cells| cells.get(1) == Some(&"2")).unwrap_or_else(|| panic!("no such line: {ended:?}"));
        // phalanx: parties made trips share % spins yields parks ...
        assert_eq!(line[2..4], ["1", "40"], "{line:?}");
        [6, 7, 8].map(|column: usize| line[column].parse::<u64>().unwrap_or_else(|_| panic!("no number: {line:?}")))
    };
    let (policy, budget) = ("PHALANX_WAIT_POLICY", "PHALANX_SPIN");
    let [spins, yields, parks] = waits(&[(policy, "spin")]);
    assert!(spins > 1000 && yields == 0 && parks == 0, "spin: {spins}, {yields}, {parks}");
    let [spins, yields, parks] = waits(&[(policy, "park")]);
    assert!(spins == 0 && yields == 0 && parks > 20, "park: {spins}, {yields}, {parks}");
    let [spins, yields, parks] = waits(&[(policy, "spin-yield"), (budget, "0")]);
    assert!(spins == 0 && yields > 20 && parks == 0, "spin-yield without a spin: {spins}, {yields}, {parks}");
    let [spins, _, parks] = waits(&[(policy, "spin-park"), (budget, "0")]);
    assert!(spins == 0 && parks > 20, "spin-park without a spin: {spins} spins, {parks} parks");
    // Whoever loses its CPU does not spin for a while, but not for nearly all of 40 trips.
    let [spins, ..] = waits(&[(policy, "spin-park"), (budget, "5s")]);
    assert!(spins > 1000, "spin-park with seconds for it: {spins} spins");
    let [spins, _, parks] = waits(&[(budget, "0")]);
    assert!(spins == 0 && parks > 20, "without a spin: {spins} spins, {parks} parks");
    let [spins, ..] = waits(&[(budget, "5s")]);
    assert!(spins > 1000, "with seconds for it: {spins} spins");
}
