// How programs end: with threads in a barrier, by pthread_exit of the first thread, by a signal, by exit in another thread. None may hang,
// and each ends as it would without barriers.
#include "check.h"

static pthread_barrier_t barrier;
static atomic_uint on_the_way;

static void wait_for_nobody(unsigned rank, void *with) {
    (void)rank;
    (void)with;
    atomic_fetch_add(&on_the_way, 1);
    TRIP(&barrier);
}

// Three threads that wait for a fourth.
static void three_wait(void) {
    INIT(&barrier, NULL, 4);
    start_team(3, wait_for_nobody, NULL);
    while (atomic_load(&on_the_way) < 3) sched_yield();
    nap(1000000);
}

static void *cross_then_exit(void *argument) {
    (void)argument;
    take_seat();
    TRIP(&barrier);
    exit(9);
}

static void *cross_and_leave(void *argument) {
    take_seat();
    TRIP(&barrier);
    pthread_exit(argument);
}

static int status_of(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) < 0) CHECK(errno == EINTR, "waitpid: %s", strerror(errno));
    return status;
}

int main(void) {
    pid_t child;
    pthread_t threads[3];
    watch("ending");
    for (unsigned turn = 0; turn < 5; turn++) {
        if (start_child(&child)) {
            three_wait();
            exit(7);
        }
        end_child(child, 7);
        if (start_child(&child)) {
            three_wait();
            raise(SIGTERM);
        }
        int status = status_of(child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "a program with threads in a barrier ended with status %#x, not by SIGTERM", (unsigned)status);
        if (start_child(&child)) {
            INIT(&barrier, NULL, 2);
            pthread_create(&threads[0], NULL, cross_then_exit, NULL);
            TRIP(&barrier);
            pthread_exit(NULL);
        }
        end_child(child, 9);
    }
    ok("with threads in a barrier, by a signal, after the first thread");
    // Threads that are gone when the next ones come.
    INIT(&barrier, NULL, 3);
    for (unsigned turn = 0; turn < rounds(500); turn++) {
        for (unsigned rank = 0; rank < 3; rank++) CHECK(pthread_create(&threads[rank], NULL, cross_and_leave, &barrier) == 0, "pthread_create");
        for (unsigned rank = 0; rank < 3; rank++) {
            void *result;
            CHECK(pthread_join(threads[rank], &result) == 0 && result == &barrier, "a thread that left by pthread_exit");
        }
    }
    DESTROY(&barrier);
    ok("threads that end after one wait");
    return 0;
}
