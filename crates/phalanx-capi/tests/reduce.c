/* Reductions: their values, their order, and parties that do not agree on what they do. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <math.h>

enum { PARTIES = 4 };

struct worker {
    phalanx_barrier *barrier;
    size_t rank;
    int algorithm;
};

/* Sums whose order shows in their bits. */
static const double part[PARTIES] = {0.1, 1e16, 0.3, -1e16};

static void *work(void *argument) {
    struct worker *worker = argument;
    phalanx_party *party;
    double real, in_order = ((part[0] + part[1]) + part[2]) + part[3];
    int64_t whole;
    size_t rank = worker->rank;
    OK(phalanx_barrier_claim(worker->barrier, rank, &party));
    for (int step = 0; step < scaled(500); step++) {
        OK(phalanx_party_all_reduce_double(party, PHALANX_SUM, part[rank], &real));
        CHECK(memcmp(&real, &in_order, sizeof real) == 0);
        OK(phalanx_party_all_reduce_double(party, PHALANX_MIN, part[rank], &real));
        CHECK(real == -1e16);
        OK(phalanx_party_all_reduce_double(party, PHALANX_MAX, part[rank], &real));
        CHECK(real == 1e16);
        OK(phalanx_party_all_reduce_int64(party, PHALANX_SUM, (int64_t)rank + step, &whole));
        CHECK(whole == 6 + 4 * step);
        OK(phalanx_party_all_reduce_int64(party, PHALANX_MIN, -(int64_t)rank, &whole));
        CHECK(whole == -3);
        OK(phalanx_party_all_reduce_int64(party, PHALANX_MAX, -(int64_t)rank, &whole));
        CHECK(whole == 0);
        /* A NaN gives way to numbers, and not in sums. */
        double odd = rank == 1 ? NAN : (double)rank;
        OK(phalanx_party_all_reduce_double(party, PHALANX_MAX, odd, &real));
        CHECK(real == 3);
        OK(phalanx_party_all_reduce_double(party, PHALANX_MIN, odd, &real));
        CHECK(real == 0);
        OK(phalanx_party_all_reduce_double(party, PHALANX_SUM, odd, &real));
        CHECK(isnan(real));
        /* Sums wrap. */
        OK(phalanx_party_all_reduce_int64(party, PHALANX_SUM, rank < 2 ? INT64_MAX : 0, &whole));
        CHECK(whole == -2);
    }
    OK(phalanx_party_free(party));
    return NULL;
}

static void values(int algorithm) {
    struct worker workers[PARTIES];
    pthread_t threads[PARTIES];
    phalanx_barrier *barrier;
    phalanx_barrier_options options = {.algorithm = algorithm};
    OK(phalanx_barrier_create(PARTIES, &options, &barrier));
    for (size_t rank = 0; rank < PARTIES; rank++) {
        workers[rank] = (struct worker){barrier, rank, algorithm};
        threads[rank] = start(work, &workers[rank]);
    }
    for (size_t rank = 0; rank < PARTIES; rank++) join(threads[rank]);
    OK(phalanx_barrier_free(barrier));
}

struct other {
    phalanx_party *party;
    int op, whole;
};

static void *disagree(void *argument) {
    struct other *other = argument;
    double real = 5;
    int64_t whole = 5;
    phalanx_broken broken;
    if (other->whole)
        ANSWERS(PHALANX_BROKEN, phalanx_party_all_reduce_int64(other->party, other->op, 1, &whole));
    else
        ANSWERS(PHALANX_BROKEN, phalanx_party_all_reduce_double(other->party, other->op, 1, &real));
    CHECK(real == 5 && whole == 5); /* stay as they are */
    OK(phalanx_last_broken(&broken));
    CHECK(broken.cause == PHALANX_CAUSE_MISMATCHED);
    SAYS("rank");
    return NULL;
}

/* Another operator, or another type. */
static void mismatched(int op, int whole) {
    phalanx_barrier *barrier;
    struct other others[2] = {{NULL, PHALANX_SUM, 0}, {NULL, op, whole}};
    OK(phalanx_barrier_create(2, NULL, &barrier));
    for (size_t rank = 0; rank < 2; rank++) OK(phalanx_barrier_claim(barrier, rank, &others[rank].party));
    pthread_t thread = start(disagree, &others[0]);
    disagree(&others[1]);
    join(thread);
    for (size_t rank = 0; rank < 2; rank++) OK(phalanx_party_free(others[rank].party));
    OK(phalanx_barrier_free(barrier));
}

int main(void) {
    setup();
    for (int algorithm = PHALANX_AUTO; algorithm <= PHALANX_HIERARCHICAL; algorithm++) values(algorithm);
    mismatched(PHALANX_MIN, 0);
    mismatched(PHALANX_MAX, 0);
    mismatched(PHALANX_SUM, 1);
    return passed("reduce");
}
