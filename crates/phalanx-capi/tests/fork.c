/* After fork() the child makes objects of its own and uses them; what the parent has stays the parent's. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include <sys/wait.h>

struct worker {
    phalanx_barrier *barrier;
    phalanx_shared_barrier *shared;
    size_t rank;
};

static void *work(void *argument) {
    struct worker *worker = argument;
    phalanx_party *party;
    int64_t sum;
    OK(phalanx_barrier_claim(worker->barrier, worker->rank, &party));
    for (int step = 0; step < scaled(200); step++) {
        OK(phalanx_party_all_reduce_int64(party, PHALANX_SUM, step, &sum));
        CHECK(sum == 2 * step);
        OK(phalanx_shared_wait(worker->shared, NULL));
    }
    OK(phalanx_party_free(party));
    return NULL;
}

static void use_new_ones(void) {
    struct worker workers[2] = {{.rank = 0}, {.rank = 1}};
    OK(phalanx_barrier_create(2, NULL, &workers[0].barrier));
    OK(phalanx_shared_create(2, NULL, &workers[0].shared));
    workers[1].barrier = workers[0].barrier;
    workers[1].shared = workers[0].shared;
    pthread_t thread = start(work, &workers[1]);
    work(&workers[0]);
    join(thread);
    OK(phalanx_barrier_free(workers[0].barrier));
    OK(phalanx_shared_free(workers[0].shared));
}

static int together(void *user, const phalanx_member *member) {
    (void)user;
    return (int)phalanx_member_wait(member, NULL);
}

int main(void) {
    setup();
    use_new_ones();
    phalanx_team *team = NULL;
    /* ThreadSanitizer lets no child start threads whose parent had several. */
    if (!getenv("PHALANX_TEST_SHRINK")) {
        OK(phalanx_team_create(3, NULL, &team));
        OK(phalanx_team_run(team, together, NULL, NULL));
    }
    size_t before = phalanx_live_handles();
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            setup(); /* its own watchdog */
            use_new_ones();
            phalanx_team *own;
            OK(phalanx_team_create(2, NULL, &own));
            OK(phalanx_team_run(own, together, NULL, NULL));
            OK(phalanx_team_free(own));
            CHECK(phalanx_live_handles() == before);
            _exit(0);
        }
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        use_new_ones();
        if (team) OK(phalanx_team_run(team, together, NULL, NULL));
    }
    if (team) OK(phalanx_team_free(team));
    return passed("fork");
}
