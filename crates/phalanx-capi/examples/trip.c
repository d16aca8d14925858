/*
 * What a trip costs here: two threads, pinned to two CPUs where there are two, at three barriers in turn: parties with handles, the
 * shared barrier, and pthread_barrier_t. Prints the least and the median of many runs, in nanoseconds per trip, start of the threads
 * included. Each trip is counted by both threads in turn; exits with 1 if the count is wrong.
 *
 *     cc -O2 trip.c $(pkg-config --cflags --libs phalanx) -pthread -o trip && ./trip [runs]
 */
#define _GNU_SOURCE
#include <phalanx.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { KINDS = 3, MOST_RUNS = 1000 };
static const char *const names[KINDS] = {"phalanx_party_wait", "phalanx_shared_wait", "pthread_barrier_wait"};
static const int trips[KINDS] = {20000, 20000, 200};

static phalanx_party *parties[2];
static phalanx_shared_barrier *shared;
static pthread_barrier_t posix;
static long counted; /* by rank 0 on even trips, by rank 1 on odd ones */

struct worker {
    long rank;
    int kind, failed;
};

static void pin(long rank) {
#ifdef __linux__
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    long at = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && at++ == rank) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            pthread_setaffinity_np(pthread_self(), sizeof one, &one);
            return;
        }
    }
#else
    (void)rank;
#endif
}

static void *work(void *argument) {
    struct worker *worker = argument;
    pin(worker->rank);
    for (int trip = 0; trip < trips[worker->kind]; trip++) {
        if (trip % 2 == worker->rank) counted++;
        switch (worker->kind) {
        case 0: worker->failed |= phalanx_party_wait(parties[worker->rank], NULL) != PHALANX_OK; break;
        case 1: worker->failed |= phalanx_shared_wait(shared, NULL) != PHALANX_OK; break;
        default: pthread_barrier_wait(&posix);
        }
    }
    return NULL;
}

/* Nanoseconds per trip; negative if something went wrong. */
static double run(int kind) {
    struct worker workers[2] = {{0, kind, 0}, {1, kind, 0}};
    pthread_t threads[2];
    counted = 0;
    uint64_t before = phalanx_now_ns();
    for (int rank = 0; rank < 2; rank++)
        if (pthread_create(&threads[rank], NULL, work, &workers[rank]) != 0) exit(1);
    for (int rank = 0; rank < 2; rank++) pthread_join(threads[rank], NULL);
    double each = (double)(phalanx_now_ns() - before) / trips[kind];
    return workers[0].failed || workers[1].failed || counted != trips[kind] ? -1 : each;
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int count, char **words) {
    int runs = count > 1 ? atoi(words[1]) : 20;
    if (runs < 1 || runs > MOST_RUNS) {
        fprintf(stderr, "trip: 1 to %d runs, not %s\n", MOST_RUNS, words[1]);
        return 1;
    }
    static double times[KINDS][MOST_RUNS];
    phalanx_barrier *barrier;
    if (phalanx_barrier_create(2, NULL, &barrier) != PHALANX_OK || phalanx_shared_create(2, NULL, &shared) != PHALANX_OK) return 1;
    for (size_t rank = 0; rank < 2; rank++)
        if (phalanx_barrier_claim(barrier, rank, &parties[rank]) != PHALANX_OK) return 1;
    pthread_barrier_init(&posix, NULL, 2);
    for (int i = 0; i < runs; i++) {
        for (int kind = 0; kind < KINDS; kind++) { /* in turn, so that all see the same neighbours */
            times[kind][i] = run(kind);
            if (times[kind][i] < 0) {
                fprintf(stderr, "trip: WRONG: %s\n", names[kind]);
                return 1;
            }
        }
    }
    for (int kind = 0; kind < KINDS; kind++) {
        qsort(times[kind], (size_t)runs, sizeof times[kind][0], ascending);
        printf("trip: %-20s least %8.0f ns, median %8.0f ns of %d runs\n", names[kind], times[kind][0], times[kind][runs / 2], runs);
    }
    for (size_t rank = 0; rank < 2; rank++) phalanx_party_free(parties[rank]);
    phalanx_barrier_free(barrier);
    phalanx_shared_free(shared);
    pthread_barrier_destroy(&posix);
    return 0;
}
