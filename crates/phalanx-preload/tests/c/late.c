// A team whose thread `late-one` comes last to every trip; with the argument `stuck` it stays away from one trip for three seconds. For
// what the library has to say of a barrier, and of one that is stuck, which it must not change.
#include "check.h"

enum { TEAM = 3, TRIPS = 40 };

static pthread_barrier_t barrier;
static const char *const NAMES[TEAM] = {"early-a", "early-b", "late-one"};

static void cross(unsigned rank, void *stuck) {
    pthread_setname_np(pthread_self(), NAMES[rank]);
    for (unsigned trip = 0; trip < TRIPS; trip++) {
        if (rank == 2) nap(stuck && trip == TRIPS / 2 ? 3000000000 : 3000000);
        TRIP(&barrier);
    }
}

int main(int count, char **arguments) {
    watch("late");
    INIT(&barrier, NULL, TEAM);
    run_team(TEAM, cross, count > 1 && !strcmp(arguments[1], "stuck") ? &barrier : NULL);
    DESTROY(&barrier);
    ok("%d trips of %d threads", TRIPS, TEAM);
    return 0;
}
