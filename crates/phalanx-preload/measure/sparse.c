// Trips far apart: `sparse THREADS TRIPS MICROSECONDS sleep|compute [straggler]`.
//
// Before each trip each thread sleeps, or computes, for so long; with `straggler` only one does, another each time, and the others wait
// for it. What waiting costs shows in the CPU time of the whole process.
#include "measure.h"

static pthread_barrier_t barrier;
static unsigned threads;
static long trips, pause_us;
static bool straggler, computes;
static volatile double sink;

static void busy(double seconds) {
    // By CPU time, so that a thread without a CPU does not get by with less.
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    double until = (double)time.tv_sec + 1e-9 * (double)time.tv_nsec + seconds;
    do {
        for (int turn = 0; turn < 2000; turn++) sink = sink + 1e-9;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    } while ((double)time.tv_sec + 1e-9 * (double)time.tv_nsec < until);
}

static void *work(void *argument) {
    size_t rank = (size_t)argument;
    struct timespec pause = {pause_us / 1000000, pause_us % 1000000 * 1000};
    for (long trip = 0; trip < trips; trip++) {
        if (!straggler || (size_t)trip % threads == rank) {
            if (computes)
                busy(1e-6 * (double)pause_us);
            else
                nanosleep(&pause, NULL);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(int count, char **arguments) {
    threads = (unsigned)argument(count, arguments, 1, 4096);
    trips = argument(count, arguments, 2, 1000000000);
    pause_us = argument(count, arguments, 3, 60000000);
    computes = asked_for(count, arguments, 4, "compute");
    if (computes == asked_for(count, arguments, 4, "sleep")) give_up("either sleep or compute", 0);
    straggler = asked_for(count, arguments, 4, "straggler");
    make(&barrier, threads);
    double began = now();
    run_threads(threads, work);
    pthread_barrier_destroy(&barrier);
    printf("loop %.3f ms cpu %.3f ms\n", 1e3 * (now() - began), 1e3 * cpu_time());
    return 0;
}
