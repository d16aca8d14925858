// pthread_barrier_wait is no cancellation point: who is cancelled there stays until the trip is over, and goes at the next point that is one.
#include "check.h"

static pthread_barrier_t barrier;
static atomic_uint arrived, returned, cleaned;

static void on_cancelled(void *argument) {
    (void)argument;
    atomic_fetch_add(&cleaned, 1);
}

static void *wait_then_go(void *cancel_first) {
    take_seat();
    pthread_cleanup_push(on_cancelled, NULL);
    if (cancel_first) pthread_cancel(pthread_self());
    atomic_fetch_add(&arrived, 1);
    TRIP(&barrier);
    atomic_fetch_add(&returned, 1);
    doing("at a cancellation point");
    for (;;) {
        pthread_testcancel();
        sched_yield();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void one_round(unsigned round, bool cancel_first, int shared) {
    pthread_t thread;
    pthread_barrierattr_t attributes;
    void *result;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, shared);
    INIT(&barrier, &attributes, 2);
    atomic_store(&arrived, 0);
    atomic_store(&returned, 0);
    atomic_store(&cleaned, 0);
    CHECK(pthread_create(&thread, NULL, wait_then_go, cancel_first ? &barrier : NULL) == 0, "pthread_create");
    until_moved(&arrived, 0, "waits for the thread that is to be cancelled");
    // From caught before its first look at the clock to asleep for long.
    nap(round % 4 == 0 ? 1000 : 200000 * (round % 4));
    if (!cancel_first) CHECK(pthread_cancel(thread) == 0, "pthread_cancel");
    nap(round % 3 * 200000);
    CHECK(atomic_load(&returned) == 0 && atomic_load(&cleaned) == 0, "a thread that was cancelled in its wait left it");
    TRIP(&barrier);
    doing("joins the thread that was cancelled");
    CHECK(pthread_join(thread, &result) == 0, "pthread_join");
    CHECK(result == PTHREAD_CANCELED, "the thread was not cancelled at its next cancellation point");
    CHECK(atomic_load(&returned) == 1 && atomic_load(&cleaned) == 1, "the thread was cancelled in its wait");
    DESTROY(&barrier);
}

// Neither are init and destroy.
static void *make_and_destroy(void *argument) {
    (void)argument;
    take_seat();
    pthread_cancel(pthread_self());
    for (int turn = 0; turn < 100; turn++) {
        pthread_barrier_t own;
        INIT(&own, NULL, 1);
        TRIP(&own);
        DESTROY(&own);
    }
    return &barrier;
}

int main(void) {
    watch("cancel");
    for (int shared = PTHREAD_PROCESS_PRIVATE; shared <= PTHREAD_PROCESS_SHARED; shared++) {
        for (unsigned round = 0; round < rounds(200); round++) one_round(round, false, shared);
        ok("cancelled in the wait, %s", shared ? "shared" : "private");
        for (unsigned round = 0; round < rounds(200); round++) one_round(round, true, shared);
        ok("cancelled before the wait, %s", shared ? "shared" : "private");
    }
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, make_and_destroy, NULL) == 0, "pthread_create");
    pthread_join(thread, &result);
    CHECK(result == &barrier, "init, wait or destroy of one thread is a cancellation point");
    ok("init and destroy with a cancellation pending");
    return 0;
}
