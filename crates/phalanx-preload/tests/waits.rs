//! How a preloaded program waits, by what the environment says: seen in its statistics.

// Not all of it is used by each file of tests.
#[allow(dead_code)]
mod support;

use std::fs;
use std::thread::available_parallelism;
use support::{preloaded, program, run, scratch, skip};

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

/// Spins, yields and parks of the barrier for two, of 40 trips, in a table.
fn counted(table: &str) -> [u64; 3] {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|cells| cells.get(1) == Some(&"2")).unwrap_or_else(|| panic!("no such line: {table}"));
    // phalanx: parties made trips share % spins yields parks ...
    assert_eq!(line[2..4], ["1", "40"], "{line:?}");
    [6, 7, 8].map(|column: usize| line[column].parse().unwrap_or_else(|_| panic!("no number: {line:?}")))
}

#[test]
fn spins_yields_and_sleeps_are_what_the_environment_asks_for() {
    let Some(pair) = program("cc", &[], "pair", PAIR) else { return };
    if available_parallelism().map_or(1, usize::from) < 2 {
        return skip("pair", "with one CPU nobody spins who need not");
    }
    let waits = |settings: &[(&str, &str)]| {
        let ended = run(preloaded(&pair, settings).env("PHALANX_PRELOAD_STATS", "1"));
        assert_eq!((ended.status, ended.out.as_str()), (0, "done\n"), "{ended:?}");
        counted(&ended.err)
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

/// A process that makes a barrier and is late by 3 ms for 40 trips, and one that is started by it, maps the barrier, pins itself and waits; the
/// statistics of that one go to the file that is the argument.
const GUEST: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_barrier_t *map(int file) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) exit(3);
    return memory;
}
int main(int count, char **arguments) {
    if (count == 3) {
        pthread_barrier_t *barrier = map(atoi(arguments[2]));
        cpu_set_t here;
        CPU_ZERO(&here);
        CPU_SET(sched_getcpu(), &here);
        if (sched_setaffinity(0, sizeof here, &here)) return 4;
        for (int trip = 0; trip < 40; trip++) pthread_barrier_wait(barrier);
        return 0;
    }
    int file = memfd_create("barrier", 0), status;
    if (file < 0 || ftruncate(file, 4096)) return 5;
    pthread_barrier_t *barrier = map(file);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    if (pthread_barrier_init(barrier, &shared, 2)) return 6;
    pid_t child = fork();
    if (child == 0) {
        char name[16];
        snprintf(name, sizeof name, "%d", file);
        setenv("PHALANX_PRELOAD_STATS", arguments[1], 1);
        execl("/proc/self/exe", "guest", arguments[1], name, (char *)NULL);
        _exit(7);
    }
    for (int trip = 0; trip < 40; trip++) {
        usleep(3000);
        pthread_barrier_wait(barrier);
    }
    if (waitpid(child, &status, 0) != child) return 8;
    return status == 0 ? 0 : 9;
}
"#;

/// It counted nothing, heeded no variable, and took the CPU that it had pinned itself to for all that it had.
#[test]
fn a_process_that_makes_no_barrier_waits_as_it_is_told_and_counts() {
    let Some(guest) = program("cc", &[], "guest", GUEST) else { return };
    if available_parallelism().map_or(1, usize::from) < 2 {
        return skip("guest", "with one CPU nobody spins who need not");
    }
    let waits = |settings: &[(&str, &str)]| {
        let file = scratch().join("guest.table");
        let _ = fs::remove_file(&file); // Of the last run.
        let ended = run(preloaded(&guest, settings).env("PHALANX_PRELOAD_STATS", "1").arg(&file));
        assert_eq!(ended.status, 0, "{ended:?}");
        counted(&ended.err);
        counted(&fs::read_to_string(&file).unwrap_or_else(|error| panic!("no table of the guest: {error}")))
    };
    // Its one CPU may be somebody else's for most of the time.
    let [spins, yields, parks] = waits(&[("PHALANX_WAIT_POLICY", "park")]);
    assert!(spins == 0 && yields == 0 && parks > 0, "park: {spins}, {yields}, {parks}");
    let [spins, ..] = waits(&[("PHALANX_SPIN", "5s")]);
    assert!(spins > 1000, "with seconds for it: {spins} spins");
}
