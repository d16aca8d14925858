/* What breaks a trip and what mends it: limits that name who is missing, aborts, drops, resets; and what is said of it. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "check.h"

static const uint64_t ms = 1000000;

struct told {
    phalanx_party *party;
    phalanx_shared_barrier *shared;
    phalanx_status status;
    phalanx_broken broken;
    char text[256];
};

static void *wait_for_it(void *argument) {
    struct told *told = argument;
    told->status = told->party ? phalanx_party_wait(told->party, NULL) : phalanx_shared_wait(told->shared, NULL);
    phalanx_last_error(told->text, sizeof told->text);
    phalanx_last_broken(&told->broken);
    return NULL;
}

static void until_arrived(phalanx_barrier *barrier, phalanx_shared_barrier *shared, size_t wanted) {
    for (;;) {
        size_t arrived;
        phalanx_stats stats;
        if (barrier) {
            OK(phalanx_barrier_stats(barrier, &stats));
            arrived = stats.arrived;
        } else {
            OK(phalanx_shared_state(shared, NULL, NULL, &arrived));
        }
        if (arrived >= wanted) return;
        nap(1);
    }
}

static void make(size_t size, uint64_t timeout, phalanx_barrier **barrier, phalanx_party **parties) {
    phalanx_barrier_options options = {.name = "breaks", .timeout_ns = timeout};
    OK(phalanx_barrier_create(size, &options, barrier));
    for (size_t rank = 0; rank < size; rank++) OK(phalanx_barrier_claim(*barrier, rank, &parties[rank]));
}

static void unmake(size_t size, phalanx_barrier *barrier, phalanx_party **parties) {
    for (size_t rank = 0; rank < size; rank++)
        if (parties[rank]) OK(phalanx_party_free(parties[rank]));
    OK(phalanx_barrier_free(barrier));
}

static void limits_name_who_is_missing(void) {
    phalanx_barrier *barrier;
    phalanx_party *parties[4];
    phalanx_broken broken;
    size_t missing[4] = {9, 9, 9, 9}, count = 0;
    char text[256];
    make(4, 0, &barrier, parties);
    OK(phalanx_barrier_missing(barrier, missing, 4, &count));
    CHECK(count == 4 && missing[0] == 0 && missing[3] == 3);
    OK(phalanx_party_arrive(parties[1]));
    uint64_t before = phalanx_now_ns();
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait_timeout(parties[2], 20 * ms, NULL));
    CHECK(phalanx_now_ns() - before >= 20 * ms); /* never early */
    SAYS("trip 0 broken: rank 2 timed out after 20 ms; not arrived: ranks 0, 3");
    OK(phalanx_last_broken(&broken));
    CHECK(broken.cause == PHALANX_CAUSE_TIMED_OUT && broken.rank == 2 && broken.generation == 0);
    CHECK(broken.parties == 4 && broken.arrived == 2);
    OK(phalanx_barrier_missing(barrier, missing, 4, &count));
    CHECK(count == 2 && missing[0] == 0 && missing[1] == 3);
    missing[1] = 77;
    OK(phalanx_barrier_missing(barrier, missing, 1, &count)); /* room for one */
    CHECK(count == 2 && missing[0] == 0 && missing[1] == 77);
    /* All are told the same, the late ones too, and whoever asks. */
    ANSWERS(PHALANX_BROKEN, phalanx_party_arrival_wait(parties[1], NULL));
    SAYS("trip 0 broken: rank 2 timed out after 20 ms; not arrived: ranks 0, 3");
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[0], NULL));
    SAYS("not arrived: ranks 0, 3");
    OK(phalanx_barrier_broken(barrier, &broken, text, sizeof text, &count));
    CHECK(broken.cause == PHALANX_CAUSE_TIMED_OUT && count == strlen(text) && contains(text, "ranks 0, 3"));
    unmake(4, barrier, parties);
}

/* Has crossed once, and is late for the next trip. */
static void *crosses_once(void *argument) {
    struct told *told = argument;
    pthread_setname_np(pthread_self(), "solver-1");
    told->status = phalanx_party_wait(told->party, NULL);
    until_arrived(NULL, told->shared, 1); /* stays until the other has been told */
    OK(phalanx_shared_wait(told->shared, NULL));
    return NULL;
}

static void threads_are_named_as_they_were_named(void) {
    phalanx_barrier *barrier;
    phalanx_party *parties[2];
    struct told late = {0};
    make(2, 0, &barrier, parties);
    OK(phalanx_shared_create(2, NULL, &late.shared));
    late.party = parties[1];
    pthread_t thread = start(crosses_once, &late);
    OK(phalanx_party_wait(parties[0], NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait_timeout(parties[0], 10 * ms, NULL));
    SAYS("trip 1 broken: rank 0 timed out after 10 ms; not arrived: rank 1 (`solver-1`");
    OK(phalanx_shared_wait(late.shared, NULL));
    join(thread);
    OK(late.status);
    OK(phalanx_shared_free(late.shared));
    unmake(2, barrier, parties);
}

static void limits_of_all_kinds(void) {
    phalanx_barrier *barrier;
    phalanx_party *parties[2];
    phalanx_shared_barrier *shared;
    uint64_t before;
    make(2, 15 * ms, &barrier, parties); /* of every wait */
    before = phalanx_now_ns();
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[1], NULL));
    CHECK(phalanx_now_ns() - before >= 15 * ms);
    SAYS("rank 1 timed out after 15 ms; not arrived: rank 0");
    OK(phalanx_barrier_reset(barrier, NULL));
    before = phalanx_now_ns();
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait_deadline(parties[1], before + 10 * ms, NULL));
    CHECK(phalanx_now_ns() >= before + 10 * ms);
    OK(phalanx_barrier_reset(barrier, NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait_timeout(parties[1], 0, NULL)); /* does not wait */
    OK(phalanx_barrier_reset(barrier, NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait_deadline(parties[1], 0, NULL)); /* long past */
    unmake(2, barrier, parties);

    OK(phalanx_shared_create(3, NULL, &shared));
    before = phalanx_now_ns();
    ANSWERS(PHALANX_BROKEN, phalanx_shared_wait_timeout(shared, 10 * ms, NULL));
    CHECK(phalanx_now_ns() - before >= 10 * ms);
    SAYS("trip 0 broken: rank 0 timed out after 10 ms; 1 of 3 had arrived");
    ANSWERS(PHALANX_BROKEN, phalanx_shared_wait(shared, NULL));
    OK(phalanx_shared_reset(shared));
    before = phalanx_now_ns();
    ANSWERS(PHALANX_BROKEN, phalanx_shared_wait_deadline(shared, before + 10 * ms, NULL));
    CHECK(phalanx_now_ns() >= before + 10 * ms);
    OK(phalanx_shared_reset(shared));
    ANSWERS(PHALANX_BROKEN, phalanx_shared_wait_timeout(shared, 0, NULL));
    OK(phalanx_shared_free(shared));

    /* The last to arrive needs no time. */
    make(1, 0, &barrier, parties);
    OK(phalanx_party_wait_timeout(parties[0], 0, NULL));
    OK(phalanx_party_wait_deadline(parties[0], 0, NULL));
    OK(phalanx_party_wait_timeout(parties[0], UINT64_MAX, NULL));
    OK(phalanx_party_wait_deadline(parties[0], UINT64_MAX, NULL));
    unmake(1, barrier, parties);
}

static void abort_and_reset(void) {
    phalanx_barrier *barrier;
    phalanx_party *parties[3];
    struct told told[2] = {{0}, {0}};
    uint64_t next = 0, count = 0;
    int is_broken = 9;
    make(3, 0, &barrier, parties);
    OK(phalanx_barrier_is_broken(barrier, &is_broken));
    CHECK(is_broken == 0);
    for (int i = 0; i < 2; i++) told[i].party = parties[i];
    pthread_t threads[2] = {start(wait_for_it, &told[0]), start(wait_for_it, &told[1])};
    until_arrived(barrier, NULL, 2);
    OK(phalanx_barrier_abort(barrier, "the input ended"));
    for (int i = 0; i < 2; i++) {
        join(threads[i]);
        CHECK(told[i].status == PHALANX_BROKEN && told[i].broken.cause == PHALANX_CAUSE_ABORTED && told[i].broken.rank == -1);
        CHECK(strcmp(told[i].text, "trip 0 broken: aborted: the input ended; not arrived: rank 2") == 0);
    }
    OK(phalanx_barrier_abort(barrier, "another reason")); /* changes nothing */
    char text[256];
    size_t length;
    OK(phalanx_barrier_broken(barrier, NULL, text, sizeof text, NULL));
    CHECK(contains(text, "the input ended"));
    /* Lengths are those of snprintf. */
    OK(phalanx_barrier_broken(barrier, NULL, text, 8, &length));
    CHECK(strcmp(text, "trip 0 ") == 0 && length == strlen("trip 0 broken: aborted: the input ended; not arrived: rank 2"));
    CHECK(phalanx_last_error(text, 6) > 5 && strlen(text) == 5);
    OK(phalanx_barrier_is_broken(barrier, &is_broken));
    CHECK(is_broken == 1);

    OK(phalanx_barrier_reset(barrier, &next));
    CHECK(next == 1);
    /* Who had not come to the broken trip is told of it once. */
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[2], NULL));
    SAYS("the input ended");
    for (int i = 0; i < 2; i++) threads[i] = start(wait_for_it, &told[i]);
    phalanx_trip trip;
    OK(phalanx_party_wait(parties[2], &trip));
    CHECK(trip.generation == 1);
    for (int i = 0; i < 2; i++) {
        join(threads[i]);
        CHECK(told[i].status == PHALANX_OK);
    }
    /* A reset while parties wait. */
    threads[0] = start(wait_for_it, &told[0]);
    until_arrived(barrier, NULL, 1);
    OK(phalanx_barrier_reset(barrier, NULL));
    join(threads[0]);
    CHECK(told[0].status == PHALANX_BROKEN && told[0].broken.cause == PHALANX_CAUSE_RESET);
    OK(phalanx_barrier_breaks(barrier, PHALANX_CAUSE_RESET, &count));
    CHECK(count == 1);
    OK(phalanx_barrier_breaks(barrier, PHALANX_CAUSE_ABORTED, &count));
    CHECK(count == 1);
    phalanx_stats stats;
    OK(phalanx_barrier_stats(barrier, &stats));
    CHECK(stats.breaks == 2 && stats.resets == 2 && stats.trips == 1);
    OK(phalanx_barrier_abort(barrier, NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[1], NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[1], NULL));
    SAYS("no reason given");
    unmake(3, barrier, parties);

    phalanx_shared_barrier *shared;
    OK(phalanx_shared_create(2, NULL, &shared));
    struct told other = {.shared = shared};
    threads[0] = start(wait_for_it, &other);
    until_arrived(NULL, shared, 1);
    OK(phalanx_shared_abort(shared, "enough \xff")); /* not UTF-8 */
    join(threads[0]);
    CHECK(other.status == PHALANX_BROKEN && contains(other.text, "trip 0 broken: aborted: enough"));
    OK(phalanx_shared_state(shared, &is_broken, NULL, NULL));
    CHECK(is_broken == 1);
    OK(phalanx_shared_reset(shared));
    threads[0] = start(wait_for_it, &other);
    OK(phalanx_shared_wait(shared, NULL));
    join(threads[0]);
    CHECK(other.status == PHALANX_OK);
    threads[0] = start(wait_for_it, &other);
    until_arrived(NULL, shared, 1);
    OK(phalanx_shared_reset(shared));
    join(threads[0]);
    CHECK(other.status == PHALANX_BROKEN && other.broken.cause == PHALANX_CAUSE_RESET);
    OK(phalanx_shared_free(shared));
}

static void drop_and_restart(void) {
    phalanx_barrier *barrier;
    phalanx_party *parties[2];
    phalanx_broken broken;
    make(2, 0, &barrier, parties);
    OK(phalanx_party_free(parties[1]));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[0], NULL));
    SAYS("rank 1 dropped its handle and comes no more");
    OK(phalanx_last_broken(&broken));
    CHECK(broken.cause == PHALANX_CAUSE_DROPPED && broken.rank == 1);
    ANSWERS(PHALANX_DESERTED, phalanx_barrier_reset(barrier, NULL));
    SAYS("nobody would come for rank 1");
    OK(phalanx_barrier_claim(barrier, 1, &parties[1]));
    OK(phalanx_barrier_reset(barrier, NULL));
    OK(phalanx_party_arrive(parties[1]));
    OK(phalanx_party_wait(parties[0], NULL));
    OK(phalanx_party_arrival_wait(parties[1], NULL));
    unmake(2, barrier, parties);

    /* Without its control, a rank that nobody claimed breaks the trip; parties work on otherwise. */
    OK(phalanx_barrier_create(2, NULL, &barrier));
    OK(phalanx_barrier_claim(barrier, 0, &parties[0]));
    OK(phalanx_barrier_free(barrier));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[0], NULL));
    OK(phalanx_party_free(parties[0]));
    OK(phalanx_barrier_create(1, NULL, &barrier));
    OK(phalanx_barrier_claim(barrier, 0, &parties[0]));
    OK(phalanx_barrier_free(barrier));
    OK(phalanx_party_wait(parties[0], NULL));
    OK(phalanx_party_free(parties[0]));
}

static void leave_and_join(void) {
    phalanx_barrier *barrier;
    phalanx_party *parties[2], *newcomer = NULL;
    size_t count, rank;
    phalanx_trip trip;
    make(2, 0, &barrier, parties);
    OK(phalanx_party_leave(parties[1]));
    ANSWERS(PHALANX_STALE, phalanx_party_wait(parties[1], NULL));
    OK(phalanx_party_wait(parties[0], &trip)); /* with the leaver's arrival */
    OK(phalanx_party_wait(parties[0], &trip)); /* alone */
    CHECK(trip.generation == 1);
    OK(phalanx_barrier_parties(barrier, &count));
    CHECK(count == 1);
    ANSWERS(PHALANX_LEFT, phalanx_barrier_claim(barrier, 1, &parties[1]));
    OK(phalanx_barrier_join(barrier, &newcomer));
    OK(phalanx_party_rank(newcomer, &rank));
    CHECK(rank == 1);
    OK(phalanx_party_wait(parties[0], &trip)); /* the newcomer's is the next one */
    OK(phalanx_party_arrive(newcomer));
    OK(phalanx_party_wait(parties[0], &trip));
    CHECK(trip.generation == 3);
    OK(phalanx_party_leave(newcomer)); /* which has arrived, and waits for the end first */
    OK(phalanx_party_leave(parties[0]));
    ANSWERS(PHALANX_ENDED, phalanx_barrier_join(barrier, &newcomer));
    OK(phalanx_barrier_free(barrier));
}

static void forgotten_arrivals(void) {
    phalanx_barrier *barrier;
    phalanx_party *parties[2];
    phalanx_trip trip;
    make(2, 0, &barrier, parties);
    OK(phalanx_party_arrive(parties[0]));
    OK(phalanx_party_arrival_forget(parties[0]));
    OK(phalanx_party_wait(parties[1], &trip)); /* the arrival stands */
    OK(phalanx_party_arrive(parties[1]));
    OK(phalanx_party_wait(parties[0], &trip)); /* sees to the first trip before */
    CHECK(trip.generation == 1);
    OK(phalanx_party_free(parties[1])); /* with an arrival that nobody waited for */
    parties[1] = NULL;
    unmake(2, barrier, parties);
}

static void *fails_otherwise(void *argument) {
    (void)argument;
    CHECK(phalanx_last_error(NULL, 0) == 0); /* nothing of the other thread's */
    ANSWERS(PHALANX_NULL, phalanx_party_wait(NULL, NULL));
    SAYS("`party` is NULL");
    return NULL;
}

static void each_thread_has_its_own_last_error(void) {
    phalanx_barrier *barrier;
    ANSWERS(PHALANX_INVALID, phalanx_barrier_create(0, NULL, &barrier));
    join(start(fails_otherwise, NULL));
    SAYS("not 0");
}

int main(void) {
    setup();
    each_thread_has_its_own_last_error();
    limits_name_who_is_missing();
    threads_are_named_as_they_were_named();
    limits_of_all_kinds();
    abort_and_reset();
    drop_and_restart();
    leave_and_join();
    forgotten_arrivals();
    return passed("breaks");
}
