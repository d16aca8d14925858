// Threads that all have to do with one CPU, and more threads than CPUs: the trips go on, whoever waits.
#include "check.h"

enum { TRIPS = 1000, MOST = 64 };

static long written[MOST];

struct place {
    pthread_barrier_t barrier;
    unsigned size, trips;
};

static void cross(unsigned rank, void *with) {
    struct place *place = with;
    for (unsigned trip = 0; trip < place->trips; trip++) {
        written[rank] = trip + 1;
        TRIP(&place->barrier);
        for (unsigned other = 0; other < place->size; other++) CHECK(written[other] == trip + 1, "thread %u left trip %u without thread %u", rank, trip, other);
        TRIP(&place->barrier);
    }
}

static void go(unsigned size) {
    static struct place place;
    INIT(&place.barrier, NULL, size);
    place.size = size;
    place.trips = rounds(TRIPS) / size + 8;
    run_team(size, cross, &place);
    DESTROY(&place.barrier);
}

int main(void) {
    cpu_set_t all, one;
    watch("one_cpu");
    go(16);
    go(MOST);
    ok("more threads than CPUs");
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0, "sched_getaffinity: %s", strerror(errno));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all)) cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    // After the library has been loaded: what it has learnt of its CPUs is not true any more.
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity: %s", strerror(errno));
    for (unsigned size = 2; size <= 16; size *= 2) go(size);
    ok("all on one CPU");
    return 0;
}
