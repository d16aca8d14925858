// Forks of a program whose threads wait, and of one whose threads make and destroy barriers: the child can do all that its parent could.
#include "check.h"

enum { TEAM = 4 };

static pthread_barrier_t inherited, idle;

static void cross(unsigned rank, void *with) {
    (void)rank;
    for (int trip = 0; trip < 50; trip++) TRIP(with);
}

static void use(pthread_barrier_t *barrier, unsigned count) {
    INIT(barrier, NULL, count);
    run_team(count, cross, barrier);
    DESTROY(barrier);
}

static void live_as_child(unsigned turn) {
    pthread_barrier_t own;
    pid_t grandchild;
    use(&own, 2);
    // Of its waiters none came along.
    use(&inherited, 3);
    // Nobody waited here: it is a barrier in the child as well.
    run_team(2, cross, &idle);
    DESTROY(&idle);
    if (turn % 16 == 0) {
        if (start_child(&grandchild)) {
            use(&own, 2);
            exit(5);
        }
        end_child(grandchild, 5);
    }
    exit(3);
}

static void wait_once(unsigned rank, void *with) {
    (void)rank;
    TRIP(with);
}

static void while_threads_wait(unsigned turns) {
    for (unsigned turn = 0; turn < turns; turn++) {
        pid_t child;
        INIT(&inherited, NULL, TEAM);
        INIT(&idle, NULL, 2);
        struct member *team = start_team(TEAM - 1, wait_once, &inherited);
        // From on their way to asleep.
        nap(turn % 3 * 300000);
        if (start_child(&child)) live_as_child(turn);
        end_child(child, 3);
        TRIP(&inherited);
        join_team(team, TEAM - 1);
        DESTROY(&inherited);
        DESTROY(&idle);
    }
}

static atomic_bool over;

static void make_and_destroy(unsigned rank, void *with) {
    (void)rank;
    (void)with;
    pthread_barrier_t own;
    while (!atomic_load(&over)) {
        INIT(&own, NULL, 1);
        TRIP(&own);
        DESTROY(&own);
    }
}

// Whatever lock the library may hold in another thread at the time of the fork, no child may miss it.
static void while_threads_make_barriers(unsigned turns) {
    atomic_store(&over, false);
    struct member *team = start_team(2, make_and_destroy, NULL);
    for (unsigned turn = 0; turn < turns; turn++) {
        pid_t child;
        pthread_barrier_t own;
        if (start_child(&child)) {
            INIT(&own, NULL, 1);
            TRIP(&own);
            DESTROY(&own);
            if (turn % 8 == 0) use(&own, 2);
            exit(0);
        }
        end_child(child, 0);
    }
    atomic_store(&over, true);
    join_team(team, 2);
}

int main(void) {
    watch("fork");
    while_threads_wait(rounds(100));
    ok("forked while threads wait");
    while_threads_make_barriers(rounds(400));
    ok("forked while threads make and destroy barriers");
    return 0;
}
