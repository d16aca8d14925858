/* Rounds of `#pragma omp barrier` in a team of two, each thread on its own CPU, timed inside by the first.
 *
 * The region is opened once per call, so that fork and join stay outside of the measurement. The threads pin themselves: the calling one is pinned
 * already, the runtime's pool thread inherits that when it is created, and must be moved. */
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stdint.h>
#include <time.h>

struct report {
    int64_t ns, wrong, team;
};

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int pin(int cpu) {
    static _Thread_local int pinned = -1;
    if (pinned == cpu)
        return 0;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(cpu, &mask);
    if (sched_setaffinity(0, sizeof mask, &mask) != 0)
        return 1;
    pinned = cpu;
    return 0;
}

int versus_openmp(int cpu0, int cpu1, int64_t opening, int64_t trips, int64_t verified, struct report *out) {
    /* Written before a checked trip, read after it; volatile, so that the compiler does not keep what it wrote. */
    static struct {
        volatile int64_t trip;
    } slots[2] __attribute__((aligned(128)));
    int64_t took = 0, wrong = 0;
    int team = 0, failed = 0;
    slots[0].trip = slots[1].trip = 0;
#pragma omp parallel num_threads(2) shared(slots, took, team) reduction(+ : wrong, failed)
    {
        int me = omp_get_thread_num();
        failed += pin(me == 0 ? cpu0 : cpu1);
        if (me == 0)
            team = omp_get_num_threads();
        for (int64_t i = 0; i < opening; i++) {
#pragma omp barrier
        }
        int64_t start = me == 0 ? now() : 0;
        for (int64_t i = 0; i < trips; i++) {
#pragma omp barrier
        }
        if (me == 0)
            took = now() - start;
        for (int64_t i = 1; i <= verified; i++) {
            slots[me & 1].trip = i;
#pragma omp barrier
            int64_t other = slots[~me & 1].trip;
            wrong += other != i && other != i + 1;
        }
    }
    out->ns = took;
    out->wrong = wrong;
    out->team = team;
    return failed;
}
