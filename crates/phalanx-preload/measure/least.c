// The least that a preload for barriers can be: a count and a sleep, as glibc does it. For `sleepers.py`, to see what preloading anything
// costs a program; not a barrier for use (it cannot be given back, and checks nothing).
#define _GNU_SOURCE
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

struct least {
    _Atomic uint64_t arrivals;
    _Atomic uint32_t bell;
    uint32_t parties;
};

int pthread_barrier_init(pthread_barrier_t *barrier, const pthread_barrierattr_t *attributes, unsigned count) {
    struct least *least = (struct least *)barrier;
    (void)attributes;
    atomic_store(&least->arrivals, 0);
    atomic_store(&least->bell, 0);
    least->parties = count;
    return 0;
}

int pthread_barrier_destroy(pthread_barrier_t *barrier) {
    (void)barrier;
    return 0;
}

int pthread_barrier_wait(pthread_barrier_t *barrier) {
    struct least *least = (struct least *)barrier;
    uint64_t place = atomic_fetch_add(&least->arrivals, 1), index = place % least->parties, end = place - index + least->parties;
    if (index + 1 == least->parties) {
        atomic_fetch_add(&least->bell, 1);
        syscall(SYS_futex, &least->bell, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return PTHREAD_BARRIER_SERIAL_THREAD;
    }
    for (;;) {
        uint32_t kept = atomic_load(&least->bell);
        if (atomic_load(&least->arrivals) >= end) return 0;
        syscall(SYS_futex, &least->bell, FUTEX_WAIT_PRIVATE, kept, NULL, NULL, 0);
    }
}
