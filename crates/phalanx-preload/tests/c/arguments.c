// What init, destroy and the attributes answer to good and bad arguments, and that a refused init leaves the memory alone.
#include "check.h"
#include <limits.h>

static void refused(unsigned count) {
    pthread_barrier_t barrier, before;
    memset(&barrier, 0x5a, sizeof barrier);
    before = barrier;
    int answer = pthread_barrier_init(&barrier, NULL, count);
    CHECK(answer == EINVAL, "init for %u returned %d instead of EINVAL", count, answer);
    CHECK(!memcmp(&barrier, &before, sizeof barrier), "a refused init wrote into the barrier");
}

static void accepted(unsigned count) {
    pthread_barrier_t barrier;
    memset(&barrier, 0x5a, sizeof barrier);
    INIT(&barrier, NULL, count);
    DESTROY(&barrier);
}

static void attributes(void) {
    pthread_barrierattr_t attributes;
    int shared = -1;
    CHECK(pthread_barrierattr_init(&attributes) == 0, "barrierattr_init");
    CHECK(pthread_barrierattr_getpshared(&attributes, &shared) == 0 && shared == PTHREAD_PROCESS_PRIVATE, "private is what attributes begin with, here %d", shared);
    CHECK(pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0, "setpshared");
    CHECK(pthread_barrierattr_getpshared(&attributes, &shared) == 0 && shared == PTHREAD_PROCESS_SHARED, "shared was set, here %d", shared);
    CHECK(pthread_barrierattr_setpshared(&attributes, 17) == EINVAL, "setpshared to 17");
    CHECK(pthread_barrierattr_getpshared(&attributes, &shared) == 0 && shared == PTHREAD_PROCESS_SHARED, "a refused value was taken, here %d", shared);
    for (shared = PTHREAD_PROCESS_PRIVATE; shared <= PTHREAD_PROCESS_SHARED; shared++) {
        pthread_barrier_t barrier;
        CHECK(pthread_barrierattr_setpshared(&attributes, shared) == 0, "setpshared");
        CHECK(pthread_barrier_init(&barrier, &attributes, 0) == EINVAL, "count 0 with attributes");
        INIT(&barrier, &attributes, 1);
        // The barrier does not need them any more.
        CHECK(pthread_barrierattr_destroy(&attributes) == 0, "barrierattr_destroy");
        memset(&attributes, 0xff, sizeof attributes);
        for (int trip = 0; trip < 10; trip++) CHECK(TRIP(&barrier), "the only thread is the serial thread");
        DESTROY(&barrier);
        CHECK(pthread_barrierattr_init(&attributes) == 0, "barrierattr_init");
    }
}

int main(void) {
    watch("arguments");
    CHECK(PTHREAD_BARRIER_SERIAL_THREAD == -1 && sizeof(pthread_barrier_t) == 32, "another layout than what this library is for");
    refused(0);
    ok("count 0 is EINVAL");
    // glibc keeps the upper half of its counter for itself, and INT_MAX with it.
    refused(INT_MAX);
    refused((unsigned)INT_MAX + 1);
    refused(UINT_MAX);
    ok("counts from INT_MAX on are EINVAL");
    accepted(INT_MAX - 1);
    accepted(1u << 24);
    accepted((1u << 24) - 1);
    accepted(65536);
    accepted(1);
    ok("counts up to INT_MAX - 1");
    attributes();
    ok("attributes");
    return 0;
}
