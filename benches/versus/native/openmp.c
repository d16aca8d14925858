/* Rounds of `#pragma omp barrier`, or of sums, in a team whose threads each have a CPU, timed inside.
 *
 * The region is opened once per call, so that fork and join stay outside of the measurement; but for the rounds of
 * regions, which measure just these. The threads pin themselves: a pool's threads inherit what the caller had when they
 * were made. */
#define _GNU_SOURCE
#include <omp.h>

#define MEET()              \
    do {                    \
        _Pragma("omp barrier") \
    } while (0)
#define WHO RUSAGE_THREAD

static int summed(int parties, int me, long trip, double *before);

#include "rounds.h"

/* One reduction and the barrier that ends the loop it belongs to: each thread has one iteration, with its value.
 *
 * A reduction adds to what its variable holds, and a thread that is ahead adds for its next trip while another still
 * reads. So two variables take turns, and what was there before is taken off: no second barrier and no reset, the least
 * that a correct program can do. */
static double even, odd;

#define PRAGMA(text) _Pragma(#text)
#define REDUCE_TO(total)                                  \
    PRAGMA(omp for schedule(static) reduction(+ : total)) \
    for (int rank = 0; rank < parties; rank++)            \
        total += brought(rank, trip);                     \
    all = total

static inline int summed(int parties, int me, long trip, double *before) {
    double all;
    (void)me;
    if (trip & 1) {
        REDUCE_TO(odd);
    } else {
        REDUCE_TO(even);
    }
    int wrong = all - before[trip & 1] != expected(parties, trip);
    before[trip & 1] = all;
    return wrong;
}

/* Parallel regions with next to nothing in them, one after the other, timed by the thread that opens them: each member
 * adds one to a counter of its own. With `idle` the thread sleeps so many nanoseconds before each region, and only the
 * regions are timed. */
static void regions(const struct order *o, struct report *out) {
    struct line *slots = o->slots;
    struct usage before = used(RUSAGE_SELF);
    uint64_t start = o->stamp(), took = 0;
    for (int64_t region = 0; region < o->opening + o->trips; region++) {
        if (region == o->opening) {
            before = used(RUSAGE_SELF);
            start = o->stamp();
        }
        uint64_t called = 0;
        if (o->idle) {
            struct timespec t = {0, o->idle};
            nanosleep(&t, 0);
            called = o->stamp();
        }
#pragma omp parallel num_threads(o->parties)
        {
            slots[omp_get_thread_num()].is++;
        }
        if (o->idle && region >= o->opening)
            took += o->stamp() - called;
    }
    out->ticks = o->idle ? took : o->stamp() - start;
    account(out, before, RUSAGE_SELF);
    out->trips = o->trips;
    for (int i = 0; i < o->parties; i++)
        out->wrong += slots[i].is != o->opening + o->trips;
}

/* One report per party; nothing else is returned than whether the team was as large as asked for, and where asked for. */
int versus_openmp(const struct order *o, struct report *out) {
    int failed = 0;
    if (o->what == REDUCE)
        even = odd = 0;
#pragma omp parallel num_threads(o->parties) reduction(+ : failed)
    {
        int me = omp_get_thread_num(), team = omp_get_num_threads();
        failed += team != o->parties || pin(o->cpus[me]);
        if (team == o->parties)
            party(o, me, team, &out[me]);
    }
    if (!failed && o->what == FORK)
        regions(o, out);
    return failed;
}
