/* Teams: results by rank, failures, breaks, and members where they do not belong. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

enum { MEMBERS = 3 };

struct job {
    phalanx_team *team, *inner;
    const phalanx_member *kept[MEMBERS];
    long written[MEMBERS];
    int fails, waits;
};

static int rank_of(const phalanx_member *member) {
    size_t rank = 99, size = 0;
    OK(phalanx_member_rank(member, &rank));
    OK(phalanx_member_size(member, &size));
    CHECK(rank < size);
    return (int)rank;
}

static int all_together(void *user, const phalanx_member *member) {
    struct job *job = user;
    int rank = rank_of(member);
    static const size_t parts[] = {0, 4, 7, 10};
    size_t begin = 99, end = 99;
    double real = 0;
    int64_t whole = 0;
    job->kept[rank] = member;
    OK(phalanx_member_chunk(member, 10, &begin, &end));
    CHECK(begin == parts[rank] && end == parts[rank + 1]);
    for (long step = 1; step <= scaled(200); step++) {
        job->written[rank] = step;
        phalanx_trip trip;
        OK(phalanx_member_wait(member, &trip));
        for (int other = 0; other < MEMBERS; other++) CHECK(job->written[other] == step);
        OK(phalanx_member_wait_timeout(member, UINT64_MAX, NULL));
        OK(phalanx_member_wait_deadline(member, UINT64_MAX, NULL));
        OK(phalanx_member_all_reduce_double(member, PHALANX_SUM, 0.5 * rank, &real));
        OK(phalanx_member_all_reduce_int64(member, PHALANX_MAX, rank * step, &whole));
        CHECK(real == 1.5 && whole == 2 * step);
    }
    ANSWERS(PHALANX_NULL, phalanx_member_rank(member, NULL));
    ANSWERS(PHALANX_NULL, phalanx_member_chunk(member, 10, NULL, &end));
    ANSWERS(PHALANX_NULL, phalanx_member_chunk(member, 10, &begin, NULL));
    ANSWERS(PHALANX_NULL, phalanx_member_all_reduce_double(member, PHALANX_SUM, 1, NULL));
    ANSWERS(PHALANX_INVALID, phalanx_member_all_reduce_int64(member, 3, 1, &whole));
    return 0;
}

static int fails(void *user, const phalanx_member *member) {
    struct job *job = user;
    int rank = rank_of(member);
    if (rank == job->fails) return 40 + rank;
    return job->waits ? (int)phalanx_member_wait(member, NULL) : 0;
}

static int stuck(void *user, const phalanx_member *member) {
    (void)user;
    if (rank_of(member) == 2) return 0; /* comes no more */
    phalanx_status status = phalanx_member_wait(member, NULL);
    CHECK(status == PHALANX_BROKEN);
    SAYS("rank 2");
    return (int)status;
}

static int times_out(void *user, const phalanx_member *member) {
    (void)user;
    if (rank_of(member) == 1) {
        phalanx_status status = phalanx_member_wait_timeout(member, 1000000, NULL);
        SAYS("rank 1 timed out after 1 ms");
        return (int)status;
    }
    nap(20);
    return (int)phalanx_member_wait(member, NULL);
}

static int aborted(void *user, const phalanx_member *member) {
    struct job *job = user;
    if (rank_of(member) == 1) OK(phalanx_team_abort(job->team, "no more"));
    return (int)phalanx_member_wait(member, NULL);
}

static int in_itself(void *user, const phalanx_member *member) {
    struct job *job = user;
    int rank = rank_of(member);
    ANSWERS(PHALANX_REENTERED, phalanx_team_run(job->team, all_together, job, NULL));
    ANSWERS(PHALANX_BUSY, phalanx_team_free(job->team));
    if (rank == 0) { /* another team is fine, and so are the outer one's members in its callbacks */
        struct job other = {.fails = -1};
        OK(phalanx_team_run(job->inner, fails, &other, NULL));
    }
    return 0;
}

static int stale(void *user, const phalanx_member *member) {
    struct job *job = user;
    int rank = rank_of(member);
    size_t own;
    /* Of the run before, and of somebody else now. */
    ANSWERS(PHALANX_STALE, phalanx_member_wait(job->kept[rank], NULL));
    ANSWERS(PHALANX_STALE, phalanx_member_rank(job->kept[(rank + 1) % MEMBERS], &own));
    return 0;
}

static int kept_now(void *user, const phalanx_member *member) {
    struct job *job = user;
    int rank = rank_of(member);
    size_t own;
    job->kept[rank] = member;
    OK(phalanx_member_wait(member, NULL));
    for (int other = 0; other < MEMBERS; other++) {
        if (other == rank)
            OK(phalanx_member_rank(job->kept[other], &own));
        else
            ANSWERS(PHALANX_STALE, phalanx_member_wait(job->kept[other], NULL));
    }
    return (int)phalanx_member_wait(member, NULL);
}

static void results(phalanx_team *team) {
    struct job job = {.team = team, .fails = -1};
    int codes[MEMBERS + 1] = {9, 9, 9, 77};
    phalanx_broken broken;
    OK(phalanx_team_run(team, all_together, &job, codes));
    CHECK(codes[0] == 0 && codes[1] == 0 && codes[2] == 0 && codes[3] == 77);
    OK(phalanx_team_run(team, stale, &job, NULL));
    OK(phalanx_team_run(team, kept_now, &job, NULL));
    size_t rank;
    ANSWERS(PHALANX_STALE, phalanx_member_rank(job.kept[0], &rank)); /* by the caller, whose member it was */

    for (job.waits = 0; job.waits < 2; job.waits++) {
        for (job.fails = 0; job.fails < MEMBERS; job.fails++) {
            ANSWERS(PHALANX_FAILED, phalanx_team_run(team, fails, &job, codes));
            char wanted[64];
            snprintf(wanted, sizeof wanted, "rank %d failed: its callback returned %d", job.fails, 40 + job.fails);
            SAYS(wanted);
            OK(phalanx_last_broken(&broken));
            CHECK(broken.cause == PHALANX_CAUSE_FAILED && broken.rank == job.fails);
            for (int i = 0; i < MEMBERS; i++)
                CHECK(codes[i] == (i == job.fails ? 40 + i : job.waits ? PHALANX_BROKEN : 0));
        }
    }
    ANSWERS(PHALANX_BROKEN, phalanx_team_run(team, stuck, &job, codes));
    CHECK(codes[0] == PHALANX_BROKEN && codes[1] == PHALANX_BROKEN && codes[2] == 0);
    OK(phalanx_last_broken(&broken));
    CHECK(broken.cause == PHALANX_CAUSE_DROPPED && broken.rank == 2);
    ANSWERS(PHALANX_BROKEN, phalanx_team_run(team, times_out, &job, codes));
    OK(phalanx_last_broken(&broken));
    CHECK(broken.cause == PHALANX_CAUSE_TIMED_OUT && broken.rank == 1);
    ANSWERS(PHALANX_BROKEN, phalanx_team_run(team, aborted, &job, codes));
    SAYS("aborted: no more");
    OK(phalanx_team_abort(team, "nothing runs")); /* the next run is none the worse */
    OK(phalanx_team_run(team, all_together, &job, codes));
    phalanx_stats stats;
    phalanx_party_stats member;
    OK(phalanx_team_stats(team, &stats));
    CHECK(stats.parties == MEMBERS && stats.trips == 5 * (uint64_t)scaled(200) && stats.breaks == 0);
    OK(phalanx_team_member_stats(team, 2, &member));
    CHECK(member.rank == 2 && member.arrivals == stats.trips);

    phalanx_team_options options = {.name = "inner", .caller_stays_out = 1, .stack_size = 1 << 20, .timeout_ns = 60000000000};
    OK(phalanx_team_create(2, &options, &job.inner));
    OK(phalanx_team_run(team, in_itself, &job, codes));
    OK(phalanx_team_free(job.inner));
}

/* Another thread's run. */
struct meeting {
    phalanx_team *team;
    phalanx_shared_barrier *inside, *outside;
};

static int holds(void *user, const phalanx_member *member) {
    struct meeting *meeting = user;
    if (rank_of(member) == 0) {
        OK(phalanx_shared_wait(meeting->inside, NULL));
        OK(phalanx_shared_wait(meeting->outside, NULL));
    }
    return 0;
}

static void *runs(void *argument) {
    struct meeting *meeting = argument;
    OK(phalanx_team_run(meeting->team, holds, meeting, NULL));
    return NULL;
}

static void busy(phalanx_team *team) {
    struct meeting meeting = {.team = team};
    OK(phalanx_shared_create(2, NULL, &meeting.inside));
    OK(phalanx_shared_create(2, NULL, &meeting.outside));
    pthread_t thread = start(runs, &meeting);
    OK(phalanx_shared_wait(meeting.inside, NULL));
    ANSWERS(PHALANX_BUSY, phalanx_team_run(team, holds, &meeting, NULL));
    ANSWERS(PHALANX_BUSY, phalanx_team_free(team));
    OK(phalanx_shared_wait(meeting.outside, NULL));
    join(thread);
    OK(phalanx_shared_free(meeting.inside));
    OK(phalanx_shared_free(meeting.outside));
}

int main(void) {
    setup();
    phalanx_team *team = NULL;
    size_t size = 0;
    int is_pinned = 9;
    phalanx_team_options options = {.name = "solver", .bind = "none"};
    OK(phalanx_team_create(MEMBERS, &options, &team));
    OK(phalanx_team_size(team, &size));
    CHECK(size == MEMBERS);
    OK(phalanx_team_is_pinned(team, 1, &is_pinned));
    CHECK(is_pinned == 0);
    results(team);
    busy(team);
    OK(phalanx_team_free(team));

    OK(phalanx_team_create(0, NULL, &team)); /* one for each CPU */
    OK(phalanx_team_size(team, &size));
    CHECK(size >= 1);
    OK(phalanx_team_free(team));
    phalanx_team_options nowhere = {.bind = "60000"}, too_much = {.stack_size = SIZE_MAX / 4};
    ANSWERS(PHALANX_NO_CPU, phalanx_team_create(2, &nowhere, &team));
    ANSWERS(PHALANX_NO_THREAD, phalanx_team_create(2, &too_much, &team));
    SAYS("no thread for rank 1");
    return passed("team");
}
