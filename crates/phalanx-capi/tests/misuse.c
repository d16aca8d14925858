/* Every misuse that the header says is found out: a code, never a crash. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

static const phalanx_barrier_options noise = {.reserved = {0, 0, 7, 0}};

static int body_of_nobody(void *user, const phalanx_member *member) {
    (void)user, (void)member;
    return 0;
}

/* The same for every function: NULL, noise, what is freed, what is of another kind. */
static void bad_barrier(phalanx_barrier *bad, phalanx_status wanted) {
    phalanx_party *party = NULL;
    size_t count = 0, ranks[4];
    uint64_t generation = 0;
    int flag = 0;
    char text[16];
    phalanx_broken broken;
    phalanx_stats stats;
    phalanx_party_stats party_stats;
    ANSWERS(wanted, phalanx_barrier_claim(bad, 0, &party));
    ANSWERS(wanted, phalanx_barrier_join(bad, &party));
    CHECK(party == NULL);
    ANSWERS(wanted, phalanx_barrier_abort(bad, "why"));
    ANSWERS(wanted, phalanx_barrier_reset(bad, &generation));
    ANSWERS(wanted, phalanx_barrier_parties(bad, &count));
    ANSWERS(wanted, phalanx_barrier_generation(bad, &generation));
    ANSWERS(wanted, phalanx_barrier_missing(bad, ranks, 4, &count));
    ANSWERS(wanted, phalanx_barrier_is_broken(bad, &flag));
    ANSWERS(wanted, phalanx_barrier_broken(bad, &broken, text, sizeof text, &count));
    ANSWERS(wanted, phalanx_barrier_explain(bad, text, sizeof text, &count));
    ANSWERS(wanted, phalanx_barrier_stats(bad, &stats));
    ANSWERS(wanted, phalanx_barrier_party_stats(bad, 0, &party_stats));
    ANSWERS(wanted, phalanx_barrier_breaks(bad, PHALANX_CAUSE_RESET, &generation));
    ANSWERS(wanted, phalanx_barrier_free(bad));
}

static void bad_party(phalanx_party *bad, phalanx_status wanted) {
    phalanx_trip trip;
    size_t rank = 0;
    uint64_t generation = 0;
    double real = 0;
    int64_t whole = 0;
    ANSWERS(wanted, phalanx_party_wait(bad, &trip));
    ANSWERS(wanted, phalanx_party_wait_timeout(bad, 1, &trip));
    ANSWERS(wanted, phalanx_party_wait_deadline(bad, 1, &trip));
    ANSWERS(wanted, phalanx_party_all_reduce_double(bad, PHALANX_SUM, 1, &real));
    ANSWERS(wanted, phalanx_party_all_reduce_int64(bad, PHALANX_SUM, 1, &whole));
    ANSWERS(wanted, phalanx_party_rank(bad, &rank));
    ANSWERS(wanted, phalanx_party_generation(bad, &generation));
    ANSWERS(wanted, phalanx_party_arrive(bad));
    ANSWERS(wanted, phalanx_party_arrival_wait(bad, &trip));
    ANSWERS(wanted, phalanx_party_arrival_wait_timeout(bad, 1, &trip));
    ANSWERS(wanted, phalanx_party_arrival_forget(bad));
    ANSWERS(wanted, phalanx_party_leave(bad));
    ANSWERS(wanted, phalanx_party_free(bad));
}

static void bad_shared(phalanx_shared_barrier *bad, phalanx_status wanted) {
    phalanx_shared_trip trip;
    int flag;
    size_t parties, arrived;
    ANSWERS(wanted, phalanx_shared_wait(bad, &trip));
    ANSWERS(wanted, phalanx_shared_wait_timeout(bad, 1, &trip));
    ANSWERS(wanted, phalanx_shared_wait_deadline(bad, 1, &trip));
    ANSWERS(wanted, phalanx_shared_abort(bad, "why"));
    ANSWERS(wanted, phalanx_shared_reset(bad));
    ANSWERS(wanted, phalanx_shared_state(bad, &flag, &parties, &arrived));
    ANSWERS(wanted, phalanx_shared_free(bad));
}

static void bad_team(phalanx_team *bad, phalanx_status wanted) {
    size_t size;
    int flag;
    phalanx_stats stats;
    phalanx_party_stats member_stats;
    ANSWERS(wanted, phalanx_team_run(bad, body_of_nobody, NULL, NULL));
    ANSWERS(wanted, phalanx_team_size(bad, &size));
    ANSWERS(wanted, phalanx_team_is_pinned(bad, 0, &flag));
    ANSWERS(wanted, phalanx_team_abort(bad, "why"));
    ANSWERS(wanted, phalanx_team_stats(bad, &stats));
    ANSWERS(wanted, phalanx_team_member_stats(bad, 0, &member_stats));
    ANSWERS(wanted, phalanx_team_free(bad));
}

static void bad_member(const phalanx_member *bad, phalanx_status wanted) {
    size_t begin = 0, end = 0;
    phalanx_trip trip;
    double real;
    int64_t whole;
    ANSWERS(wanted, phalanx_member_rank(bad, &begin));
    ANSWERS(wanted, phalanx_member_size(bad, &begin));
    ANSWERS(wanted, phalanx_member_chunk(bad, 10, &begin, &end));
    ANSWERS(wanted, phalanx_member_wait(bad, &trip));
    ANSWERS(wanted, phalanx_member_wait_timeout(bad, 1, &trip));
    ANSWERS(wanted, phalanx_member_wait_deadline(bad, 1, &trip));
    ANSWERS(wanted, phalanx_member_all_reduce_double(bad, PHALANX_SUM, 1, &real));
    ANSWERS(wanted, phalanx_member_all_reduce_int64(bad, PHALANX_SUM, 1, &whole));
}

static void all_bad(void *bad, phalanx_status wanted) {
    bad_barrier(bad, wanted);
    bad_party(bad, wanted);
    bad_shared(bad, wanted);
    bad_team(bad, wanted);
    bad_member(bad, wanted);
}

/* Results that are needed, and texts that are not. */
static void null_results(phalanx_barrier *barrier, phalanx_party *party, phalanx_shared_barrier *shared, phalanx_team *team) {
    size_t rank = 99;
    ANSWERS(PHALANX_NULL, phalanx_barrier_create(2, NULL, NULL));
    SAYS("`barrier` is NULL");
    ANSWERS(PHALANX_NULL, phalanx_shared_create(2, NULL, NULL));
    ANSWERS(PHALANX_NULL, phalanx_team_create(2, NULL, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_claim(barrier, 1, NULL)); /* and rank 1 is not lost: see below */
    ANSWERS(PHALANX_NULL, phalanx_barrier_join(barrier, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_parties(barrier, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_generation(barrier, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_is_broken(barrier, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_missing(barrier, NULL, 4, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_explain(barrier, NULL, 4, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_stats(barrier, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_party_stats(barrier, 0, NULL));
    ANSWERS(PHALANX_NULL, phalanx_barrier_breaks(barrier, PHALANX_CAUSE_RESET, NULL));
    ANSWERS(PHALANX_NULL, phalanx_party_rank(party, NULL));
    ANSWERS(PHALANX_NULL, phalanx_party_generation(party, NULL));
    ANSWERS(PHALANX_NULL, phalanx_party_all_reduce_double(party, PHALANX_SUM, 1, NULL)); /* did not arrive */
    ANSWERS(PHALANX_NULL, phalanx_party_all_reduce_int64(party, PHALANX_SUM, 1, NULL));
    ANSWERS(PHALANX_NULL, phalanx_team_size(team, NULL));
    ANSWERS(PHALANX_NULL, phalanx_team_is_pinned(team, 0, NULL));
    ANSWERS(PHALANX_NULL, phalanx_team_stats(team, NULL));
    ANSWERS(PHALANX_NULL, phalanx_team_member_stats(team, 0, NULL));
    ANSWERS(PHALANX_NULL, phalanx_team_run(team, NULL, NULL, NULL));
    OK(phalanx_shared_state(shared, NULL, NULL, NULL));
    OK(phalanx_barrier_missing(barrier, NULL, 0, &rank));
    CHECK(rank == 2);
    OK(phalanx_barrier_explain(barrier, NULL, 0, NULL));
    CHECK(phalanx_last_error(NULL, 100) > 0);
}

static void bad_values(phalanx_barrier *barrier, phalanx_party *party, phalanx_team *team) {
    phalanx_barrier *made = NULL;
    phalanx_shared_barrier *shared = NULL;
    phalanx_team *other = NULL;
    phalanx_party *taken = NULL;
    double real;
    int64_t whole;
    uint64_t count;
    int flag;
    size_t counts[] = {0, 65537, SIZE_MAX, (size_t)-3};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        ANSWERS(PHALANX_INVALID, phalanx_barrier_create(counts[i], NULL, &made));
        ANSWERS(PHALANX_INVALID, phalanx_shared_create(counts[i], NULL, &shared));
        if (counts[i] > 0) ANSWERS(PHALANX_INVALID, phalanx_team_create(counts[i], NULL, &other));
    }
    ANSWERS(PHALANX_INVALID, phalanx_barrier_create(0, NULL, &made));
    SAYS("1 to 65536 parties, not 0");
    ANSWERS(PHALANX_INVALID, phalanx_barrier_create(2, &noise, &made));
    SAYS("`reserved`");
    phalanx_shared_options shared_noise = {.reserved = {1}};
    ANSWERS(PHALANX_INVALID, phalanx_shared_create(2, &shared_noise, &shared));
    phalanx_team_options team_noise = {.reserved = {0, 0, 0, 1}}, nowhere = {.bind = "clsoe"};
    ANSWERS(PHALANX_INVALID, phalanx_team_create(2, &team_noise, &other));
    ANSWERS(PHALANX_INVALID, phalanx_team_create(2, &nowhere, &other));
    SAYS("`clsoe` is neither");
    int numbers[] = {-1, 10, 1000, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        phalanx_barrier_options options = {.algorithm = numbers[i]}, policy = {.wait_policy = numbers[i]};
        phalanx_team_options team_policy = {.wait_policy = numbers[i]};
        ANSWERS(PHALANX_INVALID, phalanx_barrier_create(2, &options, &made));
        ANSWERS(PHALANX_INVALID, phalanx_barrier_create(2, &policy, &made));
        ANSWERS(PHALANX_INVALID, phalanx_team_create(2, &team_policy, &other));
        ANSWERS(PHALANX_INVALID, phalanx_party_all_reduce_double(party, numbers[i], 1, &real));
        ANSWERS(PHALANX_INVALID, phalanx_party_all_reduce_int64(party, numbers[i], 1, &whole));
        ANSWERS(PHALANX_INVALID, phalanx_barrier_breaks(barrier, numbers[i], &count));
        CHECK(strcmp(phalanx_strerror(numbers[i] < 100 && numbers[i] > 0 ? 1000 : numbers[i]), "no status of phalanx") == 0);
    }
    CHECK(made == NULL && shared == NULL && other == NULL);

    ANSWERS(PHALANX_NO_SUCH_RANK, phalanx_barrier_claim(barrier, 7, &taken));
    SAYS("there is no rank 7: the barrier has 2 parties, ranks 0 to 1");
    ANSWERS(PHALANX_NO_SUCH_RANK, phalanx_barrier_claim(barrier, SIZE_MAX, &taken));
    ANSWERS(PHALANX_TAKEN, phalanx_barrier_claim(barrier, 0, &taken));
    SAYS("rank 0 is claimed already");
    ANSWERS(PHALANX_NO_SUCH_RANK, phalanx_team_is_pinned(team, 2, &flag));
    SAYS("there is no rank 2: the team has 2 members");
    phalanx_party_stats stats;
    ANSWERS(PHALANX_NO_SUCH_RANK, phalanx_barrier_party_stats(barrier, 9, &stats));
    phalanx_broken broken;
    ANSWERS(PHALANX_NOT_BROKEN, phalanx_barrier_broken(barrier, &broken, NULL, 0, NULL));
}

static void out_of_order(phalanx_barrier *barrier, phalanx_party *party) {
    phalanx_party *other = NULL;
    OK(phalanx_barrier_claim(barrier, 1, &other));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_arrival_wait(party, NULL));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_arrival_wait_timeout(party, 0, NULL));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_arrival_forget(party));
    OK(phalanx_party_arrive(party));
    size_t rank;
    uint64_t generation;
    double real;
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_arrive(party));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_wait(party, NULL));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_wait_timeout(party, 1, NULL));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_wait_deadline(party, 1, NULL));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_all_reduce_double(party, PHALANX_SUM, 1, &real));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_rank(party, &rank));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_generation(party, &generation));
    ANSWERS(PHALANX_PENDING, phalanx_party_arrival_wait_timeout(party, 0, NULL));
    ANSWERS(PHALANX_PENDING, phalanx_party_arrival_wait_timeout(party, 1000, NULL));
    OK(phalanx_party_wait(other, NULL));
    OK(phalanx_party_arrival_wait_timeout(party, 0, NULL));
    ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_arrival_wait_timeout(party, 0, NULL));
    OK(phalanx_party_free(other));
}

/* An action that waits at its own barrier, by the party that runs it and by another one. */
struct inside {
    phalanx_barrier *barrier;
    phalanx_party *parties[2];
    phalanx_shared_barrier *shared;
    int ran;
};

static void wait_inside(void *user, const phalanx_trip_info *info) {
    struct inside *inside = user;
    uint64_t generation = 99;
    CHECK(info->parties == 2 && info->rank < 2);
    ANSWERS(PHALANX_BUSY, phalanx_party_wait(inside->parties[info->rank], NULL));
    ANSWERS(PHALANX_BUSY, phalanx_party_free(inside->parties[info->rank]));
    if (inside->ran == 0) { /* the other one has arrived and not waited */
        ANSWERS(PHALANX_OUT_OF_ORDER, phalanx_party_wait(inside->parties[!info->rank], NULL));
        ANSWERS(PHALANX_PENDING, phalanx_party_arrival_wait_timeout(inside->parties[!info->rank], 0, NULL));
    }
    OK(phalanx_barrier_generation(inside->barrier, &generation));
    inside->ran++;
}

static void shared_inside(void *user) {
    struct inside *inside = user;
    ANSWERS(PHALANX_REENTERED, phalanx_shared_wait(inside->shared, NULL));
    phalanx_broken broken;
    OK(phalanx_last_broken(&broken));
    CHECK(broken.cause == PHALANX_CAUSE_REENTERED);
    inside->ran++;
}

static void reentered(void) {
    struct inside inside = {0};
    phalanx_barrier_options options = {.action = wait_inside, .user = &inside};
    OK(phalanx_barrier_create(2, &options, &inside.barrier));
    OK(phalanx_barrier_claim(inside.barrier, 0, &inside.parties[0]));
    OK(phalanx_barrier_claim(inside.barrier, 1, &inside.parties[1]));
    OK(phalanx_party_arrive(inside.parties[0]));
    OK(phalanx_party_wait(inside.parties[1], NULL));
    OK(phalanx_party_arrival_wait(inside.parties[0], NULL));
    CHECK(inside.ran == 1);
    OK(phalanx_party_free(inside.parties[0]));
    OK(phalanx_party_free(inside.parties[1]));
    OK(phalanx_barrier_free(inside.barrier));

    phalanx_shared_options shared = {.action = shared_inside, .user = &inside};
    OK(phalanx_shared_create(1, &shared, &inside.shared));
    OK(phalanx_shared_wait(inside.shared, NULL));
    CHECK(inside.ran == 2);
    OK(phalanx_shared_free(inside.shared));
}

int main(void) {
    setup();
    phalanx_barrier *barrier = NULL;
    phalanx_party *party = NULL;
    phalanx_shared_barrier *shared = NULL;
    phalanx_team *team = NULL;
    phalanx_broken broken;
    CHECK(phalanx_last_error(NULL, 0) == 0);
    CHECK(phalanx_last_broken(&broken) == PHALANX_NOT_BROKEN);

    all_bad(NULL, PHALANX_NULL);
    int local = 0;
    void *noises[] = {&local, (void *)1, (void *)8, (void *)UINTPTR_MAX, (void *)(UINTPTR_MAX / 2), (void *)0x12345678};
    for (size_t i = 0; i < sizeof noises / sizeof *noises; i++) all_bad(noises[i], PHALANX_STALE);

    OK(phalanx_barrier_create(2, NULL, &barrier));
    OK(phalanx_barrier_claim(barrier, 0, &party));
    OK(phalanx_shared_create(2, NULL, &shared));
    OK(phalanx_team_create(2, NULL, &team));
    CHECK(phalanx_live_handles() == 4);
    for (size_t i = 0; i < sizeof noises / sizeof *noises; i++) all_bad(noises[i], PHALANX_STALE);
    /* Of another kind. */
    bad_barrier((phalanx_barrier *)party, PHALANX_STALE);
    bad_party((phalanx_party *)barrier, PHALANX_STALE);
    bad_shared((phalanx_shared_barrier *)team, PHALANX_STALE);
    bad_team((phalanx_team *)shared, PHALANX_STALE);
    bad_member((const phalanx_member *)party, PHALANX_STALE);
    CHECK(phalanx_live_handles() == 4);

    null_results(barrier, party, shared, team);
    bad_values(barrier, party, team);
    out_of_order(barrier, party);
    reentered();

    /* Twice. */
    OK(phalanx_barrier_free(barrier));
    OK(phalanx_party_free(party));
    OK(phalanx_shared_free(shared));
    OK(phalanx_team_free(team));
    bad_barrier(barrier, PHALANX_STALE);
    bad_party(party, PHALANX_STALE);
    bad_shared(shared, PHALANX_STALE);
    bad_team(team, PHALANX_STALE);

    /* What comes into the same places afterwards is not taken for what was there. */
    phalanx_barrier *next = NULL;
    phalanx_party *next_party = NULL;
    OK(phalanx_barrier_create(1, NULL, &next));
    OK(phalanx_barrier_claim(next, 0, &next_party));
    bad_barrier(barrier, PHALANX_STALE);
    bad_party(party, PHALANX_STALE);
    OK(phalanx_party_wait(next_party, NULL));
    OK(phalanx_party_free(next_party));
    OK(phalanx_barrier_free(next));
    return passed("misuse");
}
