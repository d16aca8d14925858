// Shared by the programs beside it: clocks, pins, errors.
#ifndef MEASURE_H
#define MEASURE_H
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

__attribute__((noreturn)) static inline void give_up(const char *what, int error) {
    fprintf(stderr, "%s%s%s\n", what, error ? ": " : "", error ? strerror(error) : "");
    exit(1);
}

static inline long argument(int count, char **arguments, int at, long most) {
    char *end = "";
    long value = at < count ? strtol(arguments[at], &end, 10) : 0;
    if (*end != 0 || value < 1 || value > most) {
        fprintf(stderr, "argument %d must be a number from 1 to %ld\n", at, most);
        exit(1);
    }
    return value;
}

// Whether word `word` is among the arguments from `from` on.
static inline bool asked_for(int count, char **arguments, int from, const char *word) {
    for (int at = from; at < count; at++)
        if (!strcmp(arguments[at], word)) return true;
    return false;
}

static inline double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// CPU time of the whole process, of all threads and in the kernel.
static inline double cpu_time(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// The CPU that thread `rank` may have for itself, of those that the program may use.
static inline void pin(unsigned rank) {
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0) give_up("sched_getaffinity", errno);
    unsigned skip = rank % (unsigned)CPU_COUNT(&all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all) || skip-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0) give_up("sched_setaffinity", errno);
        return;
    }
}

static inline void make(pthread_barrier_t *barrier, unsigned count) {
    int error = pthread_barrier_init(barrier, NULL, count);
    if (error) give_up("pthread_barrier_init", error);
}

static inline void run_threads(unsigned threads, void *(*body)(void *)) {
    pthread_t *handles = calloc(threads, sizeof *handles);
    if (!handles) give_up("no memory for threads", 0);
    for (unsigned rank = 0; rank < threads; rank++) {
        int error = pthread_create(&handles[rank], NULL, body, (void *)(size_t)rank);
        if (error) give_up("pthread_create", error);
    }
    for (unsigned rank = 0; rank < threads; rank++) pthread_join(handles[rank], NULL);
    free(handles);
}
#endif
