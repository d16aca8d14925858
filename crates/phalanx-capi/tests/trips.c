/* Trips: nobody early, one leader, for every algorithm and policy and several sizes; the action; split phase; shared barriers. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

enum { MOST = 8 };

struct crew {
    phalanx_barrier *barrier;
    phalanx_shared_barrier *shared;
    int size, trips, split;
    /* Written without atomics: the barrier orders them, and ThreadSanitizer would see if it did not. */
    long steps[MOST];
    int leaders[MOST];
    long acted;
};

struct worker {
    struct crew *crew;
    size_t rank;
};

static void act(void *user, const phalanx_trip_info *info) {
    struct crew *crew = user;
    CHECK(info->generation == (uint64_t)crew->acted && info->parties == (size_t)crew->size);
    crew->acted++;
}

static void *work(void *argument) {
    struct worker *worker = argument;
    struct crew *crew = worker->crew;
    phalanx_party *party = NULL;
    OK(phalanx_barrier_claim(crew->barrier, worker->rank, &party));
    size_t rank = 99;
    OK(phalanx_party_rank(party, &rank));
    CHECK(rank == worker->rank);
    for (int step = 0; step < crew->trips; step++) {
        crew->steps[rank] = step + 1;
        phalanx_trip trip = {99, 99};
        if (crew->split) {
            OK(phalanx_party_arrive(party));
            OK(phalanx_party_arrival_wait(party, &trip));
        } else {
            OK(phalanx_party_wait(party, &trip));
        }
        CHECK(trip.generation == 2 * (uint64_t)step);
        CHECK(crew->acted == 2 * step + 1);
        crew->leaders[rank] += trip.leader;
        for (int other = 0; other < crew->size; other++) CHECK(crew->steps[other] == step + 1);
        OK(phalanx_party_wait(party, &trip)); /* before anybody writes again */
    }
    OK(phalanx_party_free(party));
    return NULL;
}

static void trips(int size, int algorithm, int policy, int split, int count) {
    struct crew crew = {.size = size, .trips = count, .split = split};
    struct worker workers[MOST];
    pthread_t threads[MOST];
    phalanx_barrier_options options = {.name = "trips", .algorithm = algorithm, .wait_policy = policy, .action = act,
                                       .user = &crew, .split_phase = split, .timeout_ns = 200000000000};
    OK(phalanx_barrier_create((size_t)size, &options, &crew.barrier));
    for (int rank = 0; rank < size; rank++) {
        workers[rank] = (struct worker){&crew, (size_t)rank};
        threads[rank] = start(work, &workers[rank]);
    }
    int leaders = 0;
    for (int rank = 0; rank < size; rank++) {
        join(threads[rank]);
        leaders += crew.leaders[rank];
    }
    CHECK(leaders == count);
    uint64_t generation = 0;
    phalanx_stats stats;
    phalanx_party_stats party;
    /* Parties that are gone broke the trip behind the last, which nobody wanted. */
    OK(phalanx_barrier_generation(crew.barrier, &generation));
    CHECK(generation == 2 * (uint64_t)count);
    OK(phalanx_barrier_stats(crew.barrier, &stats));
    CHECK(stats.trips == 2 * (uint64_t)count && stats.parties == (size_t)size && stats.resets == 0);
    OK(phalanx_barrier_party_stats(crew.barrier, 0, &party));
    CHECK(party.rank == 0 && party.arrivals == 2 * (uint64_t)count);
    OK(phalanx_barrier_free(crew.barrier));
}

static void act_shared(void *user) { ((struct crew *)user)->acted++; }

static void *share(void *argument) {
    struct worker *worker = argument;
    struct crew *crew = worker->crew;
    for (int step = 0; step < crew->trips; step++) {
        crew->steps[worker->rank] = step + 1;
        phalanx_shared_trip trip = {99, 99};
        OK(phalanx_shared_wait(crew->shared, &trip));
        CHECK(trip.index < (size_t)crew->size && trip.leader == (trip.index + 1 == (size_t)crew->size));
        CHECK(crew->acted == 2 * step + 1);
        crew->leaders[worker->rank] += trip.leader;
        for (int other = 0; other < crew->size; other++) CHECK(crew->steps[other] == step + 1);
        OK(phalanx_shared_wait_timeout(crew->shared, UINT64_MAX, NULL));
    }
    return NULL;
}

static void shared(int size, int count) {
    struct crew crew = {.size = size, .trips = count};
    struct worker workers[MOST];
    pthread_t threads[MOST];
    phalanx_shared_options options = {.action = act_shared, .user = &crew};
    OK(phalanx_shared_create((size_t)size, &options, &crew.shared));
    for (int rank = 0; rank < size; rank++) {
        workers[rank] = (struct worker){&crew, (size_t)rank};
        threads[rank] = start(share, &workers[rank]);
    }
    int leaders = 0;
    for (int rank = 0; rank < size; rank++) {
        join(threads[rank]);
        leaders += crew.leaders[rank];
    }
    CHECK(leaders == count);
    OK(phalanx_shared_free(crew.shared));
}

/* More callers than parties: in batches. */
static void *come_once(void *argument) {
    phalanx_shared_trip trip;
    OK(phalanx_shared_wait(argument, &trip));
    return NULL;
}

static void batches(void) {
    phalanx_shared_barrier *barrier = NULL;
    pthread_t threads[6];
    OK(phalanx_shared_create(2, NULL, &barrier));
    for (int i = 0; i < 6; i++) threads[i] = start(come_once, barrier);
    for (int i = 0; i < 6; i++) join(threads[i]);
    OK(phalanx_shared_free(barrier));
}

int main(void) {
    setup();
    for (int algorithm = PHALANX_AUTO; algorithm <= PHALANX_HIERARCHICAL; algorithm++)
        for (int size = 1; size <= 5; size += 2) trips(size, algorithm, PHALANX_WAIT_DEFAULT, size == 3, scaled(200));
    for (int policy = PHALANX_WAIT_DEFAULT; policy <= PHALANX_WAIT_PARK; policy++)
        trips(2, PHALANX_AUTO, policy, policy % 2, scaled(200));
    trips(MOST, PHALANX_AUTO, PHALANX_WAIT_DEFAULT, 0, scaled(200));
    for (int size = 1; size <= MOST; size *= 2) shared(size, scaled(200));
    batches();
    return passed("trips");
}
