/* Threads that should not: two on one party, uses that race with the end, ends that race with each other. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

struct pair {
    phalanx_party *party;
    phalanx_barrier *barrier;
    long crossed, busy;
};

static void *on_one_party(void *argument) {
    struct pair *pair = argument;
    for (int step = 0; step < scaled(20000); step++) {
        phalanx_status status = phalanx_party_wait(pair->party, NULL);
        CHECK(status == PHALANX_OK || status == PHALANX_BUSY);
        __atomic_fetch_add(status == PHALANX_OK ? &pair->crossed : &pair->busy, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* A party alone at its barrier, used by three threads: each call crosses or is refused, and none is lost. */
static void two_threads_on_one_party(void) {
    struct pair pair = {0};
    pthread_t threads[3];
    uint64_t generation = 0;
    OK(phalanx_barrier_create(1, NULL, &pair.barrier));
    OK(phalanx_barrier_claim(pair.barrier, 0, &pair.party));
    for (int i = 0; i < 3; i++) threads[i] = start(on_one_party, &pair);
    for (int i = 0; i < 3; i++) join(threads[i]);
    OK(phalanx_party_generation(pair.party, &generation));
    CHECK((long)generation == pair.crossed && pair.crossed + pair.busy == 3L * scaled(20000));
    OK(phalanx_party_free(pair.party));
    OK(phalanx_barrier_free(pair.barrier));
}

/* For certain: one waits, the other comes. */
static void *waits(void *argument) {
    OK(phalanx_party_wait(argument, NULL));
    return NULL;
}

static void refused_while_waiting(void) {
    phalanx_barrier *barrier;
    phalanx_party *parties[2];
    phalanx_stats stats = {0};
    double real;
    size_t rank;
    OK(phalanx_barrier_create(2, NULL, &barrier));
    for (size_t i = 0; i < 2; i++) OK(phalanx_barrier_claim(barrier, i, &parties[i]));
    pthread_t thread = start(waits, parties[0]);
    while (stats.arrived == 0) OK(phalanx_barrier_stats(barrier, &stats));
    ANSWERS(PHALANX_BUSY, phalanx_party_wait(parties[0], NULL));
    ANSWERS(PHALANX_BUSY, phalanx_party_wait_timeout(parties[0], 1, NULL));
    ANSWERS(PHALANX_BUSY, phalanx_party_all_reduce_double(parties[0], PHALANX_SUM, 1, &real));
    ANSWERS(PHALANX_BUSY, phalanx_party_arrive(parties[0]));
    ANSWERS(PHALANX_BUSY, phalanx_party_rank(parties[0], &rank));
    ANSWERS(PHALANX_BUSY, phalanx_party_leave(parties[0]));
    ANSWERS(PHALANX_BUSY, phalanx_party_free(parties[0]));
    OK(phalanx_party_wait(parties[1], NULL));
    join(thread);
    for (size_t i = 0; i < 2; i++) OK(phalanx_party_free(parties[i]));
    OK(phalanx_barrier_free(barrier));
}

static void *waits_shared(void *argument) {
    OK(phalanx_shared_wait(argument, NULL));
    return NULL;
}

static void shared_is_not_freed_under_those_who_wait(void) {
    phalanx_shared_barrier *shared;
    size_t arrived = 0;
    OK(phalanx_shared_create(2, NULL, &shared));
    pthread_t thread = start(waits_shared, shared);
    while (arrived == 0) OK(phalanx_shared_state(shared, NULL, NULL, &arrived));
    ANSWERS(PHALANX_BUSY, phalanx_shared_free(shared));
    SAYS("1 of 2 threads wait at the shared barrier");
    OK(phalanx_shared_wait(shared, NULL));
    join(thread);
    OK(phalanx_shared_free(shared));
}

/* The leader frees the barrier while the others are still leaving. */
static void *leader_frees(void *argument) {
    phalanx_shared_trip trip;
    OK(phalanx_shared_wait(argument, &trip));
    if (trip.leader) OK(phalanx_shared_free(argument));
    return NULL;
}

static void freed_right_after_the_trip(void) {
    for (int round = 0; round < scaled(500); round++) {
        phalanx_shared_barrier *shared;
        pthread_t threads[3];
        OK(phalanx_shared_create(3, NULL, &shared));
        for (int i = 0; i < 3; i++) threads[i] = start(leader_frees, shared);
        for (int i = 0; i < 3; i++) join(threads[i]);
        ANSWERS(PHALANX_STALE, phalanx_shared_wait(shared, NULL));
    }
}

/* Who is let in while the barrier is freed does not wait for ever for those who are not. */
static void *comes_while_it_is_freed(void *argument) {
    phalanx_status status = phalanx_shared_wait(argument, NULL);
    CHECK(status == PHALANX_OK || status == PHALANX_BROKEN || status == PHALANX_STALE);
    if (status == PHALANX_BROKEN) SAYS("the barrier was freed");
    return NULL;
}

static void freed_while_threads_come(void) {
    for (int round = 0; round < scaled(2000); round++) {
        phalanx_shared_barrier *shared;
        OK(phalanx_shared_create(2, NULL, &shared));
        pthread_t thread = start(comes_while_it_is_freed, shared);
        for (volatile int i = 0; i < round % 64 * 32; i++) {}
        phalanx_status status = phalanx_shared_free(shared);
        CHECK(status == PHALANX_OK || status == PHALANX_BUSY);
        if (status == PHALANX_BUSY) OK(phalanx_shared_wait(shared, NULL));
        join(thread);
        if (status == PHALANX_BUSY) OK(phalanx_shared_free(shared));
    }
}

/* All at once on the same things: whatever comes of it is a code. */
struct storm {
    phalanx_barrier *barrier;
    phalanx_party *party;
    phalanx_shared_barrier *shared;
    phalanx_team *team;
    int freed[4];
};

static int nothing(void *user, const phalanx_member *member) {
    (void)user;
    return (int)phalanx_member_wait(member, NULL);
}

static void *storms(void *argument) {
    struct storm *storm = argument;
    size_t count;
    int codes[2];
    phalanx_status status;
    for (int step = 0; step < 3; step++) {
        status = phalanx_party_wait(storm->party, NULL);
        CHECK(status == PHALANX_OK || status == PHALANX_BUSY || status == PHALANX_STALE);
        status = phalanx_barrier_parties(storm->barrier, &count);
        CHECK(status == PHALANX_OK || status == PHALANX_STALE);
        status = phalanx_shared_wait_timeout(storm->shared, 1000, NULL);
        CHECK(status == PHALANX_OK || status == PHALANX_BROKEN || status == PHALANX_STALE);
        status = phalanx_shared_reset(storm->shared);
        CHECK(status == PHALANX_OK || status == PHALANX_STALE);
        status = phalanx_team_run(storm->team, nothing, NULL, codes);
        CHECK(status == PHALANX_OK || status == PHALANX_BUSY || status == PHALANX_STALE);
    }
    for (;;) { /* until each is freed, by whomever */
        int left = 0;
        phalanx_status ends[4];
        ends[0] = phalanx_party_free(storm->party);
        ends[1] = phalanx_barrier_free(storm->barrier);
        ends[2] = phalanx_shared_free(storm->shared);
        ends[3] = phalanx_team_free(storm->team);
        for (int i = 0; i < 4; i++) {
            CHECK(ends[i] == PHALANX_OK || ends[i] == PHALANX_BUSY || ends[i] == PHALANX_STALE);
            if (ends[i] == PHALANX_OK) __atomic_fetch_add(&storm->freed[i], 1, __ATOMIC_RELAXED);
            left |= ends[i] == PHALANX_BUSY;
        }
        if (!left) return NULL;
    }
}

static void ends_race(void) {
    for (int round = 0; round < scaled(40); round++) {
        struct storm storm = {0};
        pthread_t threads[3];
        OK(phalanx_barrier_create(1, NULL, &storm.barrier));
        OK(phalanx_barrier_claim(storm.barrier, 0, &storm.party));
        OK(phalanx_shared_create(2, NULL, &storm.shared));
        OK(phalanx_team_create(2, NULL, &storm.team));
        for (int i = 0; i < 3; i++) threads[i] = start(storms, &storm);
        for (int i = 0; i < 3; i++) join(threads[i]);
        for (int i = 0; i < 4; i++) CHECK(storm.freed[i] == 1);
        CHECK(phalanx_live_handles() == 0);
    }
}

int main(void) {
    setup();
    two_threads_on_one_party();
    refused_while_waiting();
    shared_is_not_freed_under_those_who_wait();
    freed_right_after_the_trip();
    freed_while_threads_come();
    ends_race();
    return passed("threads");
}
