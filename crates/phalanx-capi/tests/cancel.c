/* No function is a cancellation point: a thread that is to be cancelled comes back from each, and ends behind it. (Linux) */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

static const uint64_t ms = 1000000;

static phalanx_barrier *barrier;
static phalanx_party *parties[2];
static phalanx_shared_barrier *shared;
static phalanx_team *team;

static int naps(void *user, const phalanx_member *member) {
    (void)user, (void)member;
    nap(1);
    return 0;
}

static int meet(void *user, const phalanx_member *member) {
    (void)user;
    return (int)phalanx_member_wait(member, NULL);
}

static int one_fails(void *user, const phalanx_member *member) {
    size_t rank = 0;
    (void)user;
    OK(phalanx_member_rank(member, &rank));
    return rank == 1 ? 7 : (int)phalanx_member_wait(member, NULL);
}

static void makes_and_waits_shared(void) {
    OK(phalanx_shared_create(2, NULL, &shared));
    /* The first wait of a process finds out what waiting costs here. The watchdog reports it, too. */
    ANSWERS(PHALANX_BROKEN, phalanx_shared_wait_timeout(shared, 40 * ms, NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_shared_wait(shared, NULL));
}

static void mends_and_frees_shared(void) {
    int is_broken = 0;
    OK(phalanx_shared_reset(shared));
    ANSWERS(PHALANX_BROKEN, phalanx_shared_wait_deadline(shared, phalanx_now_ns() + ms, NULL));
    OK(phalanx_shared_reset(shared));
    OK(phalanx_shared_abort(shared, "enough"));
    OK(phalanx_shared_state(shared, &is_broken, NULL, NULL));
    OK(phalanx_shared_free(shared));
    ANSWERS(PHALANX_STALE, phalanx_shared_free(shared));
}

static void makes(void) {
    OK(phalanx_barrier_create(2, NULL, &barrier));
    for (size_t rank = 0; rank < 2; rank++) OK(phalanx_barrier_claim(barrier, rank, &parties[rank]));
}

static void waits_in_vain(void) { ANSWERS(PHALANX_BROKEN, phalanx_party_wait_timeout(parties[0], 20 * ms, NULL)); }

static void waits_until(void) {
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait_deadline(parties[0], phalanx_now_ns() + 5 * ms, NULL));
}

static void finds_it_broken(void) {
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[0], NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[1], NULL));
}

static void reduces(void) {
    double real = 0;
    OK(phalanx_barrier_abort(barrier, NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_party_all_reduce_double(parties[0], PHALANX_SUM, 1, &real));
}

static void arrives(void) {
    OK(phalanx_party_arrive(parties[0]));
    ANSWERS(PHALANX_PENDING, phalanx_party_arrival_wait_timeout(parties[0], 5 * ms, NULL));
    OK(phalanx_party_wait(parties[1], NULL));
    OK(phalanx_party_arrival_wait(parties[0], NULL));
}

static void looks(void) {
    phalanx_stats stats;
    phalanx_party_stats own;
    phalanx_broken broken;
    size_t ranks[2], count;
    uint64_t number;
    OK(phalanx_barrier_stats(barrier, &stats));
    OK(phalanx_barrier_party_stats(barrier, 1, &own));
    OK(phalanx_barrier_missing(barrier, ranks, 2, &count));
    OK(phalanx_party_generation(parties[0], &number));
    ANSWERS(PHALANX_NOT_BROKEN, phalanx_barrier_broken(barrier, &broken, NULL, 0, NULL));
    ANSWERS(PHALANX_NO_SUCH_RANK, phalanx_barrier_claim(barrier, 5, &parties[0]));
}

static void joins_and_leaves(void) {
    phalanx_party *third;
    OK(phalanx_barrier_join(barrier, &third));
    for (int step = 0; step < 2; step++) {
        OK(phalanx_party_arrive(parties[0]));
        OK(phalanx_party_arrive(parties[1]));
        if (step > 0) OK(phalanx_party_leave(third));
        OK(phalanx_party_arrival_wait(parties[0], NULL));
        OK(phalanx_party_arrival_wait(parties[1], NULL));
    }
}

static void frees(void) {
    for (size_t rank = 0; rank < 2; rank++) OK(phalanx_party_free(parties[rank]));
    OK(phalanx_barrier_free(barrier));
}

static void makes_a_team(void) {
    phalanx_team_options options = {.name = "cancel", .bind = "close"};
    phalanx_stats stats;
    OK(phalanx_team_create(2, NULL, &team));
    OK(phalanx_team_free(team));
    if (phalanx_team_create(2, &options, &team) != PHALANX_OK) OK(phalanx_team_create(2, NULL, &team)); /* on one CPU */
    OK(phalanx_team_stats(team, &stats));
}

static void runs(void) {
    OK(phalanx_team_run(team, meet, NULL, NULL));
    OK(phalanx_team_run(team, naps, NULL, NULL));
    ANSWERS(PHALANX_FAILED, phalanx_team_run(team, one_fails, NULL, NULL));
    OK(phalanx_team_abort(team, "nothing runs"));
    OK(phalanx_team_free(team));
}

struct thread {
    void (*body)(void);
    int disabled, came_back, went_on;
};

static void *is_cancelled(void *argument) {
    struct thread *thread = argument;
    int state = 0;
    if (thread->disabled) pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    CHECK(pthread_cancel(pthread_self()) == 0);
    thread->body();
    /* What the caller wanted of cancellations is still so. */
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    CHECK(state == (thread->disabled ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE));
    thread->came_back = 1;
    pthread_testcancel();
    thread->went_on = 1;
    return NULL;
}

static void in_a_thread(void (*body)(void), int disabled) {
    struct thread thread = {body, disabled, 0, 0};
    pthread_t id = start(is_cancelled, &thread);
    void *result = NULL;
    CHECK(pthread_join(id, &result) == 0);
    CHECK(result == PTHREAD_CANCELED && thread.came_back && !thread.went_on);
}

/* This thread is the one that is missing from then on, so that those who are told of a break look up its name. */
static void *comes_late(void *argument) {
    nap(30);
    OK(phalanx_party_wait(argument, NULL));
    return NULL;
}

static void becomes_known(void) {
    pthread_t thread = start(comes_late, parties[0]);
    OK(phalanx_party_wait(parties[1], NULL));
    join(thread);
}

static void anew(void) {
    OK(phalanx_barrier_reset(barrier, NULL));
    /* Told of the break that it did not come to. */
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[1], NULL));
    becomes_known();
}

static void each(int disabled) {
    in_a_thread(makes_and_waits_shared, disabled);
    in_a_thread(mends_and_frees_shared, disabled);
    in_a_thread(makes, disabled);
    becomes_known();
    in_a_thread(waits_in_vain, disabled);
    anew();
    in_a_thread(waits_until, disabled);
    in_a_thread(finds_it_broken, disabled);
    OK(phalanx_barrier_reset(barrier, NULL));
    becomes_known();
    in_a_thread(reduces, disabled);
    OK(phalanx_barrier_reset(barrier, NULL));
    ANSWERS(PHALANX_BROKEN, phalanx_party_wait(parties[1], NULL));
    becomes_known();
    in_a_thread(arrives, disabled);
    in_a_thread(looks, disabled);
    in_a_thread(joins_and_leaves, disabled);
    in_a_thread(frees, disabled);
    in_a_thread(makes_a_team, disabled);
    in_a_thread(runs, disabled);
}

int main(void) {
    const int on_linux =
#ifdef __linux__
        1;
#else
        0;
#endif
    setup();
    /* More to do for those who wait: a report, and a variable that is ignored aloud. (A report says on which CPU it was written. Memcheck, under
       which tests are shrunk, hides the page by which that is asked.) */
    if (!getenv("PHALANX_TEST_SHRINK")) setenv("PHALANX_WATCHDOG", "20ms", 1);
    setenv("PHALANX_SPIN", "soon", 1);
    if (on_linux) {
        each(0);
        each(1);
    }
    return passed("cancel");
}
