// Signals in storms, with SA_RESTART and without: the wait goes on, answers nothing new, and ends neither early nor late.
//
// In each sixteenth trip the straggler comes only when each of the others has been interrupted in its wait.
#include "check.h"

enum { TEAM = 4 };

static pthread_barrier_t barrier;
static atomic_bool storm_over;
static atomic_uint written[TEAM], interrupted[TEAM];
static __thread atomic_uint *my_interruptions;
static __thread volatile sig_atomic_t inside;
static pthread_t threads[TEAM];
static struct gate start = GATE(TEAM + 1);

static void on_signal(int signal) {
    (void)signal;
    if (inside && my_interruptions) atomic_fetch_add(my_interruptions, 1);
}

static void wait_in_storm(unsigned rank, void *with) {
    unsigned all = *(unsigned *)with, seed = rank;
    threads[rank] = pthread_self();
    my_interruptions = &interrupted[rank];
    pass(&start);
    for (unsigned trip = 0; trip < all; trip++) {
        unsigned before[TEAM];
        for (unsigned other = 0; other < TEAM; other++) before[other] = atomic_load(&interrupted[other]);
        dawdle(&seed);
        if (rank == trip / 16 % TEAM && trip % 16 == 0) {
            for (unsigned other = 0; other < TEAM; other++)
                if (other != rank) until_moved(&interrupted[other], before[other], "waits until each has been interrupted");
        }
        atomic_store(&written[rank], trip + 1);
        inside = 1;
        TRIP(&barrier);
        inside = 0;
        for (unsigned other = 0; other < TEAM; other++)
            CHECK(atomic_load(&written[other]) >= trip + 1, "thread %u left trip %u before thread %u came", rank, trip, other);
    }
    pass(&start);
}

static void *send_storm(void *argument) {
    (void)argument;
    take_seat();
    pass(&start);
    doing("sends signals");
    for (unsigned turn = 0; !atomic_load(&storm_over); turn++) {
        pthread_kill(threads[turn % TEAM], turn / TEAM % 2 ? SIGUSR1 : SIGUSR2);
        // On a machine that is busy otherwise a storm without a pause leaves the others no time.
        if (turn % 64 == 0) nap(20000);
    }
    pass(&start);
    doing("ended");
    return NULL;
}

static void storm_over_a_barrier(int shared) {
    pthread_barrierattr_t attributes;
    struct member *team;
    pthread_t storm;
    unsigned all = rounds(2000);
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, shared);
    INIT(&barrier, &attributes, TEAM);
    atomic_store(&storm_over, false);
    for (unsigned rank = 0; rank < TEAM; rank++) atomic_store(&written[rank], 0);
    CHECK(pthread_create(&storm, NULL, send_storm, NULL) == 0, "pthread_create");
    team = start_team(TEAM, wait_in_storm, &all);
    // The last trip's end is the only thing to look for from outside: the team stays until the storm is over.
    for (unsigned rank = 0; rank < TEAM; rank++)
        while (atomic_load(&written[rank]) < all) nap(1000000);
    atomic_store(&storm_over, true);
    join_team(team, TEAM);
    pthread_join(storm, NULL);
    DESTROY(&barrier);
}

int main(void) {
    watch("signals");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = 0;
    sigaction(SIGUSR2, &action, NULL);
    storm_over_a_barrier(PTHREAD_PROCESS_PRIVATE);
    ok("storms over waiting threads");
    storm_over_a_barrier(PTHREAD_PROCESS_SHARED);
    ok("storms over threads at a shared barrier");
    return 0;
}
