/* Rounds of `#pragma omp barrier` in a team whose threads each have a CPU, timed inside.
 *
 * The region is opened once per call, so that fork and join stay outside of the measurement. The threads pin themselves: the calling one is pinned
 * already, the runtime's pool threads inherit that when they are created, and must be moved. */
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stdint.h>
#include <time.h>

enum { MOST = 1024 };

struct report {
    int64_t ns, wrong, team;
};

/* The caller's clock, and its way of holding up a thread that is to be late. */
struct clock {
    uint64_t (*stamp)(void);
    void (*hold)(const void *context, int rank, int64_t trip);
    const void *context;
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

/* Written before a checked trip, read after it; volatile, so that the compiler does not keep what it wrote. */
static struct {
    volatile int64_t trip;
} __attribute__((aligned(128))) slots[MOST];

int versus_openmp(const int *cpus, int parties, int64_t opening, int64_t trips, int64_t verified, struct report *out) {
    int64_t took = 0, wrong = 0;
    int team = 0, failed = parties > MOST;
    for (int i = 0; i < parties && !failed; i++)
        slots[i].trip = 0;
    if (failed)
        return failed;
#pragma omp parallel num_threads(parties) shared(slots, took, team) reduction(+ : wrong, failed)
    {
        int me = omp_get_thread_num();
        failed += pin(cpus[me]);
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
            slots[me].trip = i;
#pragma omp barrier
            for (int other = 0; other < parties; other++) {
                int64_t seen = slots[other].trip;
                wrong += seen != i && seen != i + 1;
            }
        }
    }
    out->ns = took;
    out->wrong = wrong;
    out->team = team;
    return failed;
}

/* Trips with somebody late. `seen` gets the arrival and the release of each trip, party after party. */
int versus_openmp_late(const int *cpus, int parties, int64_t trips, const struct clock *clock, uint64_t *seen) {
    int failed = 0;
#pragma omp parallel num_threads(parties) reduction(+ : failed)
    {
        int me = omp_get_thread_num();
        uint64_t *mine = seen + 2 * trips * me;
        failed += omp_get_num_threads() != parties;
        failed += pin(cpus[me]);
        for (int64_t i = 0; i < trips && !failed; i++) {
            clock->hold(clock->context, me, i);
            mine[2 * i] = clock->stamp();
#pragma omp barrier
            mine[2 * i + 1] = clock->stamp();
        }
    }
    return failed;
}

/* What party `rank` brings to a reduction, and what all bring together: exact in a double, whatever the order. */
static double brought(int rank, int64_t trip) { return (double)(trip & 1023) + 0.5 * rank; }

static double expected(int parties, int64_t trip) {
    return (double)parties * (double)(trip & 1023) + 0.25 * parties * (parties - 1);
}

/* One reduction and the barrier that ends the loop it belongs to: each thread has one iteration, with its value.
 *
 * A reduction adds to what its variable holds, and a thread that is ahead adds for its next trip while another still
 * reads. So two variables take turns, and what was there before is taken off: no second barrier and no reset, the least
 * that a correct program can do. */
#define PRAGMA(text) _Pragma(#text)
#define REDUCE(total, before)                                                                    \
    do {                                                                                         \
        PRAGMA(omp for schedule(static) reduction(+ : total))                                    \
        for (int rank = 0; rank < parties; rank++)                                               \
            total += brought(rank, trip);                                                        \
        double all = total;                                                                      \
        wrong += all - before != expected(parties, trip);                                        \
        before = all;                                                                            \
    } while (0)

/* Rounds of reductions in place of bare barriers; every result is checked, those of the `verified` trips like all. */
int versus_openmp_reduce(const int *cpus, int parties, int64_t opening, int64_t trips, int64_t verified,
                         struct report *out) {
    int64_t took = 0, wrong = 0;
    int team = 0, failed = 0;
    double even = 0, odd = 0;
#pragma omp parallel num_threads(parties) shared(even, odd, took, team) reduction(+ : wrong, failed)
    {
        int me = omp_get_thread_num();
        double even_before = 0, odd_before = 0;
        int64_t start = 0;
        failed += pin(cpus[me]);
        if (me == 0)
            team = omp_get_num_threads();
        for (int64_t trip = 0; trip < opening + trips + verified; trip++) {
            if (me == 0 && trip == opening)
                start = now();
            if (me == 0 && trip == opening + trips)
                took = now() - start;
            if (trip & 1)
                REDUCE(odd, odd_before);
            else
                REDUCE(even, even_before);
        }
        if (me == 0 && verified == 0)
            took = now() - start;
    }
    out->ns = took;
    out->wrong = wrong;
    out->team = team;
    return failed;
}

/* Parallel regions with next to nothing in them, one after the other, timed by the thread that opens them: each member adds
 * one to a counter of its own. With `idle` the thread sleeps so many nanoseconds before each region, and only the regions
 * are timed. */
int versus_openmp_fork(const int *cpus, int parties, int64_t opening, int64_t regions, int64_t idle, struct report *out) {
    int64_t took = 0;
    int team = 0, failed = parties > MOST;
    for (int i = 0; i < parties && !failed; i++)
        slots[i].trip = 0;
    if (failed)
        return failed;
#pragma omp parallel num_threads(parties) reduction(+ : failed)
    {
        failed += pin(cpus[omp_get_thread_num()]);
        if (omp_get_thread_num() == 0)
            team = omp_get_num_threads();
    }
    int64_t start = now();
    for (int64_t region = 0; region < opening + regions; region++) {
        if (region == opening)
            start = now();
        int64_t called = 0;
        if (idle) {
            struct timespec t = {0, idle};
            nanosleep(&t, 0);
            called = now();
        }
#pragma omp parallel num_threads(parties)
        {
            slots[omp_get_thread_num()].trip++;
        }
        if (idle && region >= opening)
            took += now() - called;
    }
    if (!idle)
        took = now() - start;
    out->ns = took;
    out->team = team;
    out->wrong = 0;
    for (int i = 0; i < parties; i++)
        out->wrong += slots[i].trip != opening + regions;
    return failed;
}
