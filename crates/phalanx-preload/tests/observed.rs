//! The statistics and the watchdog, read as a person would.

// Not all of it is used by each file of tests.
#[allow(dead_code)]
mod support;

use std::fs;
use support::{Ended, preloaded, program, run, scratch, skip};

/// Three threads and 20 trips, of which `slow` is late to each, by 2 ms; with an argument, by that many milliseconds to trip 10.
const LATE: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static pthread_barrier_t barrier;
static int stay;
static void *cross(void *slow) {
    if (slow) pthread_setname_np(pthread_self(), "slow");
    for (int trip = 0; trip < 20; trip++) {
        if (slow) usleep(trip == 10 && stay ? stay * 1000 : 2000);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}
int make(void) { return pthread_barrier_init(&barrier, NULL, 3); }
int main(int count, char **arguments) {
    pthread_t threads[2];
    if (count > 1) stay = atoi(arguments[1]);
    if (make()) return 3;
    pthread_create(&threads[0], NULL, cross, NULL);
    pthread_create(&threads[1], NULL, cross, threads);
    cross(NULL);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    if (pthread_barrier_destroy(&barrier)) return 4;
    puts("done");
    return 0;
}
"#;

/// The cells of the line for so many parties.
fn cells(table: &str, parties: &str) -> Vec<String> {
    let mut lines = table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    lines
        .find(|cells| cells.get(1).is_some_and(|cell| cell == parties))
        .unwrap_or_else(|| panic!("no such line in\n{table}"))
}

fn finished(ended: &Ended) {
    assert_eq!((ended.status, ended.out.as_str()), (0, "done\n"), "{ended:?}");
}

#[test]
fn statistics_say_who_came_last_and_how_long_the_others_waited() {
    let Some(late) = program("cc", &["-rdynamic"], "late", LATE) else { return };
    let ended = run(&mut preloaded(&late, &[("PHALANX_PRELOAD_STATS", "1")]));
    finished(&ended);
    assert!(ended.err.starts_with("phalanx: barriers of late (process "), "{}", ended.err);
    let line = cells(&ended.err, "3");
    // phalanx: parties made trips share % ...
    assert_eq!(line[2..4], ["1", "20"], "{line:?}");
    let share: u32 = line[4].parse().unwrap();
    // Two of three wait nearly all the time, unless the machine is busy with others.
    assert!((10..=100).contains(&share), "{line:?}");
    assert!(ended.err.contains("% of trips: `slow` (thread "), "{}", ended.err);
    assert!(ended.err.contains("(make+0x"), "where it was made: {}", ended.err);
    let ended = run(preloaded(&late, &[("PHALANX_PRELOAD_STATS", "1")]).arg("300"));
    finished(&ended);
    let slowest = &cells(&ended.err, "3")[9];
    let number = |unit| slowest.strip_suffix(unit).and_then(|number: &str| number.parse::<f64>().ok());
    let millis = number("ms").or_else(|| number("s").map(|seconds| seconds * 1e3));
    assert!(
        millis.is_some_and(|millis| (200.0..20_000.0).contains(&millis)),
        "the others waited for 300 ms: {slowest}"
    );
    // Nothing is said that was not asked for.
    let silent = run(&mut preloaded::<&str>(&late, &[]));
    finished(&silent);
    assert_eq!(silent.err, "");
}

/// The first thread pins itself, and then makes a barrier for two, each with a CPU of its own.
const PINNED: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
static pthread_barrier_t barrier;
static cpu_set_t all;
static volatile long sink;
static void pin(int which) {
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && which-- == 0) CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}
static void *cross(void *late) {
    if (late) pin(1);
    for (int trip = 0; trip < 5000; trip++) {
        if (late) for (int i = 0; i < 3000; i++) sink++;
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}
int main(void) {
    pthread_t other;
    sched_getaffinity(0, sizeof all, &all);
    if (CPU_COUNT(&all) < 2) return 77;
    pin(0);
    if (pthread_barrier_init(&barrier, NULL, 2)) return 3;
    pthread_create(&other, NULL, cross, &all);
    cross(NULL);
    pthread_join(other, NULL);
    puts("done");
    return 0;
}
"#;

/// The mask was read with the first barrier, and so was that of a thread with one CPU: everybody yielded, and nobody spun.
#[test]
fn a_thread_that_pins_itself_before_it_makes_a_barrier_does_not_take_the_others_cpus_away() {
    let Some(pinned) = program("cc", &[], "pinned", PINNED) else { return };
    let ended = run(&mut preloaded(&pinned, &[("PHALANX_PRELOAD_STATS", "1"), ("PHALANX_WAIT_POLICY", "spin-park")]));
    if ended.status == 77 {
        return skip("pinned", "there is one CPU");
    }
    finished(&ended);
    let line = cells(&ended.err, "2");
    assert!(line[6].parse::<u64>().unwrap() > 0, "nobody spun: {line:?}");
}

#[test]
fn statistics_go_to_a_file_of_the_process() {
    let Some(late) = program("cc", &[], "late_to_file", LATE) else { return };
    let folder = scratch().join("stats");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let ended = run(&mut preloaded(&late, &[("PHALANX_PRELOAD_STATS", folder.join("of.%p.txt"))]));
    finished(&ended);
    assert_eq!(ended.err, "");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let text = fs::read_to_string(file).unwrap();
    let pid = text.split("(process ").nth(1).and_then(|rest| rest.split(')').next()).expect("the process");
    assert_eq!(file.file_name().unwrap().to_str().unwrap(), format!("of.{pid}.txt"));
    assert_eq!(cells(&text, "3")[3], "20");
    // Where there is no such folder the numbers are not lost.
    let ended = run(&mut preloaded(&late, &[("PHALANX_PRELOAD_STATS", folder.join("none/of"))]));
    finished(&ended);
    assert!(ended.err.contains("cannot be written to") && cells(&ended.err, "3")[3] == "20", "{}", ended.err);
}

#[test]
fn a_stuck_barrier_is_reported_with_the_thread_that_is_missing() {
    let Some(late) = program("cc", &["-rdynamic"], "late_and_stuck", LATE) else { return };
    let ended = run(preloaded(&late, &[("PHALANX_WATCHDOG", "300ms")]).arg("2000"));
    finished(&ended);
    let reports: Vec<&str> = ended.err.lines().filter(|line| line.contains(" is stuck for ")).collect();
    // At 0.3, 0.6 and 1.2 s; a machine that stands still may lose one of them.
    assert!((1..=3).contains(&reports.len()), "{}", ended.err);
    for report in &reports {
        assert!(report.contains("(3 parties, made at late_and_stuck+0x"), "{report}");
        assert!(report.contains("trip 10 is stuck") && report.ends_with("2 of 3 have arrived"), "{report}");
    }
    let missing: Vec<&str> = ended.err.lines().filter(|line| line.contains("missing: ")).collect();
    assert_eq!(missing.len(), reports.len(), "{}", ended.err);
    for line in missing {
        assert!(line.contains("missing: `slow` (thread ") && line.ends_with("was here for trip 9"), "{line}");
        assert!(line.contains("asleep in clock_nanosleep"), "{line}");
    }
    assert!(ended.err.trim_end().ends_with("trip 10 is complete now"), "{}", ended.err);
}

#[test]
fn threads_that_have_ended_and_threads_that_never_came_are_told_apart() {
    let source = r#"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static pthread_barrier_t barrier;
static void *cross(void *trips) {
    for (long trip = 0; trip < (long)trips; trip++) pthread_barrier_wait(&barrier);
    return NULL;
}
int main(void) {
    pthread_t thread[2];
    pthread_barrier_init(&barrier, NULL, 3);
    pthread_create(&thread[0], NULL, cross, (void *)1L);
    pthread_create(&thread[1], NULL, cross, (void *)2L);
    cross((void *)1L);
    usleep(900000);
    _exit(0);
}
"#;
    let Some(gone) = program("cc", &[], "gone", source) else { return };
    let ended = run(&mut preloaded(&gone, &[("PHALANX_WATCHDOG", "200ms")]));
    assert_eq!(ended.status, 0, "{ended:?}");
    let missing: Vec<&str> = ended.err.lines().filter(|line| line.contains("missing: ")).collect();
    assert!(
        missing.iter().any(|line| line.contains("`gone`") && line.contains(": gone; was here for trip 0")),
        "{}",
        ended.err
    );
    assert!(missing.iter().any(|line| line.contains(": asleep in clock_nanosleep")), "{}", ended.err);
    let source = source.replace("&barrier, NULL, 3", "&barrier, NULL, 4").replace("cross((void *)1L);\n", "");
    let Some(strangers) = program("cc", &[], "strangers", &source) else { return };
    let ended = run(&mut preloaded(&strangers, &[("PHALANX_WATCHDOG", "200ms")]));
    assert!(
        ended.err.contains("2 of 4 have arrived") && ended.err.contains("missing: 2 that never came"),
        "{}",
        ended.err
    );
}

#[test]
fn a_hundred_thousand_barriers_share_a_few_lines() {
    let source = r#"
#include <pthread.h>
#include <stdlib.h>
int main(void) {
    enum { LIVING = 3000 };
    static pthread_barrier_t barriers[LIVING];
    for (int i = 0; i < LIVING; i++) pthread_barrier_init(&barriers[i], NULL, 1);
    for (int i = 0; i < LIVING; i++) pthread_barrier_wait(&barriers[i]);
    for (int i = 0; i < LIVING; i++) if (pthread_barrier_destroy(&barriers[i])) return 2;
    for (int i = 0; i < 100000; i++) {
        pthread_barrier_t *barrier = &barriers[i % LIVING];
        pthread_barrier_init(barrier, NULL, 2 + i % 2);
        if (pthread_barrier_destroy(barrier)) return 3;
        pthread_barrier_init(barrier, NULL, 1);
        if (pthread_barrier_wait(barrier) != PTHREAD_BARRIER_SERIAL_THREAD) return 4;
        if (pthread_barrier_destroy(barrier)) return 5;
    }
    return 0;
}
"#;
    let Some(many) = program("cc", &[], "many", source) else { return };
    let ended = run(&mut preloaded(&many, &[("PHALANX_PRELOAD_STATS", "1"), ("PHALANX_WATCHDOG", "10s")]));
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert!(ended.err.lines().count() < 80, "{}", ended.err);
    let unseen = "not observed: 952, since 2048 at the same time, 64 of them process-shared, are the most\n";
    assert!(ended.err.contains(unseen), "{}", ended.err);
    // Nothing is lost: the sum over the lines is what the program has done, less what was not observed.
    let trips = ended.err.lines().filter(|line| line.contains(" % of trips:"));
    let trips: u64 = trips.map(|line| line.split_whitespace().nth(3).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(trips, 2048 + 100_000, "{}", ended.err);
}

#[test]
fn of_barriers_that_processes_share_fewer_are_observed_and_that_is_said() {
    let source = r#"
#include <pthread.h>
int main(void) {
    enum { LIVING = 70 };
    static pthread_barrier_t barriers[LIVING];
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    for (int i = 0; i < LIVING; i++) pthread_barrier_init(&barriers[i], &shared, 1);
    for (int i = 0; i < LIVING; i++) pthread_barrier_wait(&barriers[i]);
    return 0;
}
"#;
    let Some(shared) = program("cc", &[], "many_shared", source) else { return };
    let ended = run(&mut preloaded(&shared, &[("PHALANX_PRELOAD_STATS", "1")]));
    assert_eq!(ended.status, 0, "{}", ended.err);
    let unseen = "not observed: 6, since 2048 at the same time, 64 of them process-shared, are the most\n";
    assert!(ended.err.contains(unseen), "{}", ended.err);
}

/// Twelve generations of four threads at one barrier, each gone before the next comes. One thread of the sixth is the last of each of
/// its many trips; with an argument, one of the last generation stays away from its second. Says which thread has which name.
const GENERATIONS: &str = r#"
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
enum { TEAM = 4, GENERATIONS = 12 };
struct one { int generation, rank; pid_t id; };
static pthread_barrier_t barrier;
static atomic_int arriving;
static int stuck;
static int is_there(pid_t id) { return syscall(SYS_tgkill, getpid(), id, 0) == 0; }
static void *cross(void *with) {
    struct one *one = with;
    int late = one->generation == 5, last = one->generation == GENERATIONS - 1;
    char name[16];
    one->id = (pid_t)syscall(SYS_gettid);
    if (late && one->rank == 2) snprintf(name, sizeof name, "late-one");
    else if (last && one->rank == 1) snprintf(name, sizeof name, "stays-away");
    else snprintf(name, sizeof name, "g%d-%d", one->generation, one->rank);
    pthread_setname_np(pthread_self(), name);
    printf("`%s` (thread %d\n", name, (int)one->id);
    fflush(stdout);
    for (int trip = 0; trip < (late ? 20 : 2); trip++) {
        if (late && one->rank == 2) {
            while (atomic_load(&arriving) != TEAM - 1) usleep(100);
            atomic_store(&arriving, 0);
            usleep(2000);
        } else if (late) {
            atomic_fetch_add(&arriving, 1);
        }
        if (stuck && last && trip == 1 && one->rank == 1) {
            usleep(2500000);
            _exit(0);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}
int main(int count, char **arguments) {
    (void)arguments;
    stuck = count > 1;
    if (pthread_barrier_init(&barrier, NULL, TEAM)) return 3;
    for (int generation = 0; generation < GENERATIONS; generation++) {
        pthread_t threads[TEAM];
        struct one ones[TEAM];
        for (int i = 0; i < TEAM; i++) {
            ones[i] = (struct one){generation, i, 0};
            if (pthread_create(&threads[i], NULL, cross, &ones[i])) return 4;
        }
        for (int i = 0; i < TEAM; i++) pthread_join(threads[i], NULL);
        for (int i = 0; i < TEAM; i++) while (is_there(ones[i].id)) usleep(100);
    }
    return pthread_barrier_destroy(&barrier);
}
"#;

/// The seventeenth thread and all behind it had no place, and what they did was nobody's.
#[test]
fn the_thread_of_a_late_generation_that_comes_last_is_named() {
    let Some(generations) = program("cc", &[], "generations", GENERATIONS) else { return };
    let ended = run(&mut preloaded(&generations, &[("PHALANX_PRELOAD_STATS", "1")]));
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(cells(&ended.err, "4")[2..4], ["1", "42"], "{}", ended.err);
    let late = ended.out.lines().find(|line| line.starts_with("`late-one`")).expect("its number");
    assert!(ended.err.contains(&format!("% of trips: {late})")), "{ended:?}");
}

/// The report spoke of the first sixteen threads alone, and said that it was one of these.
#[test]
fn a_report_names_the_threads_of_today_and_does_not_say_that_it_is_one_of_those_long_gone() {
    let Some(generations) = program("cc", &[], "generations_stuck", GENERATIONS) else { return };
    let ended = run(preloaded(&generations, &[("PHALANX_WATCHDOG", "500ms")]).arg("stuck"));
    assert_eq!(ended.status, 0, "{ended:?}");
    // Eleven generations, one of which had twenty trips, and one trip more.
    let (_, report) = ended.err.split_once("trip 41 is stuck for ").unwrap_or_else(|| panic!("{ended:?}"));
    let report: Vec<&str> = report.lines().take_while(|line| !line.contains("gdb -p")).skip(1).collect();
    let (last, named) = report.split_last().expect("who is missing");
    // Whoever was here last comes first.
    let first = named.first().expect("somebody");
    assert!(first.contains("missing: `stays-away` (thread ") && first.contains(": asleep in "), "{ended:?}");
    assert_eq!(first.matches("was here for trip 40").count(), 1, "{ended:?}");
    // Nobody has the name of one whose place it had.
    for line in named {
        let (_, thread) = line.split_once("may be missing: ").unwrap_or_else(|| panic!("{ended:?}"));
        let is_so = ended.out.lines().any(|said| thread.starts_with(said));
        assert!(is_so && (line == first || thread.contains(": gone")), "{line}: {ended:?}");
    }
    assert_eq!(named.len(), 13, "the last generation's, and three of which none waits: {ended:?}");
    assert_eq!(*last, "phalanx:   1 of these 13, or another that ended, or never came", "{ended:?}");
}

#[test]
fn a_child_counts_for_itself() {
    let source = r#"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    pthread_barrier_t barrier, first;
    int status = 0;
    pthread_barrier_init(&first, NULL, 1);
    for (int i = 0; i < 3; i++) pthread_barrier_wait(&first);
    pthread_barrier_destroy(&first);
    pthread_barrier_init(&barrier, NULL, 1);
    for (int i = 0; i < 5; i++) pthread_barrier_wait(&barrier);
    if (fork() == 0) {
        for (int i = 0; i < 7; i++) pthread_barrier_wait(&barrier);
        exit(pthread_barrier_destroy(&barrier));
    }
    wait(&status);
    for (int i = 0; i < 6; i++) pthread_barrier_wait(&barrier);
    return status;
}
"#;
    let Some(fork) = program("cc", &[], "forks", source) else { return };
    let ended = run(&mut preloaded(&fork, &[("PHALANX_PRELOAD_STATS", "1")]));
    assert_eq!(ended.status, 0, "{ended:?}");
    let mut trips: Vec<&str> = ended.err.lines().filter(|line| line.contains(" % of trips:")).collect();
    trips.sort_by_key(|line| line.split_whitespace().nth(3));
    let trips: Vec<_> = trips.iter().map(|line| line.split_whitespace().nth(3).unwrap()).collect();
    assert_eq!(trips, ["11", "3", "7"], "{}", ended.err);
    assert_eq!(ended.err.matches("(process ").count(), 2, "{}", ended.err);
}

/// The one word that `pthread_barrier_wait` looks at is in the barrier itself, and says: nothing to do.
#[test]
fn without_variables_a_barrier_has_no_note() {
    let source = r#"
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
int main(void) {
    pthread_barrier_t barriers[2];
    pthread_barrierattr_t shared;
    uint32_t words[8];
    memset(barriers, 0xff, sizeof barriers);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&barriers[0], NULL, 2);
    pthread_barrier_init(&barriers[1], &shared, 2);
    for (int i = 0; i < 2; i++) {
        memcpy(words, &barriers[i], sizeof words);
        printf("%u ", words[5] >> 1);
    }
    return 0;
}
"#;
    let Some(note) = program("cc", &[], "note", source) else { return };
    assert_eq!(run(&mut preloaded::<&str>(&note, &[])).out, "0 0 ");
    assert_eq!(run(&mut preloaded(&note, &[("PHALANX_PRELOAD_STATS", "1")])).out, "2 1 ");
    assert_eq!(run(&mut preloaded(&note, &[("PHALANX_WATCHDOG", "1h")])).out, "2 1 ");
}

#[test]
fn what_makes_no_sense_is_said_and_ignored() {
    let Some(late) = program("cc", &[], "late_and_wrong", LATE) else { return };
    let said = |name: &str, value: &str| {
        let ended = run(&mut preloaded(&late, &[(name, value)]));
        finished(&ended);
        ended.err
    };
    for (name, value, word) in [
        ("PHALANX_PRELOAD_STATS", "yes", "write 1 for stderr"),
        ("PHALANX_WATCHDOG", "10", "unit is missing"),
        ("PHALANX_SPIN", "q", "number"),
        ("PHALANX_WAIT_POLICY", "lazy", "spin-yield"),
        ("PHALANX_WATCHDOG", "10s,break=1m", "break= is ignored"),
    ] {
        let err = said(name, value);
        assert_eq!(err.lines().count(), 1, "{name}={value}: {err:?}");
        assert!(err.starts_with(&format!("phalanx: {name}")) && err.contains(word), "{name}={value}: {err:?}");
    }
    for (name, value) in [("PHALANX_PRELOAD_STATS", "0"), ("PHALANX_PRELOAD_STATS", ""), ("PHALANX_WATCHDOG", "0")] {
        assert_eq!(said(name, value), "", "{name}={value}");
    }
}
