// Nobody returns before all have come, what each wrote before is there for all, and each trip has one serial thread: 20 barriers of 1 to
// 20 threads at once, then few threads alone, which meet the fast paths.
#include "check.h"

enum { MOST = 20, TRIPS = 1200 };

struct club {
    pthread_barrier_t barrier;
    unsigned size, trips;
    // Not atomic: only the barrier orders them.
    long written[MOST];
    atomic_uint serials[2 * TRIPS];
};

static void cross(unsigned rank, void *with) {
    struct club *club = with;
    unsigned seed = rank * 7919 + club->size;
    for (unsigned trip = 0; trip < club->trips; trip++) {
        unsigned slot = trip % TRIPS;
        dawdle(&seed);
        club->written[rank] = trip + 1;
        if (TRIP(&club->barrier)) atomic_fetch_add(&club->serials[2 * slot], 1);
        for (unsigned other = 0; other < club->size; other++)
            CHECK(club->written[other] == trip + 1, "thread %u of %u left trip %u, and thread %u was at %ld", rank, club->size, trip, other, club->written[other] - 1);
        if (TRIP(&club->barrier)) atomic_fetch_add(&club->serials[2 * slot + 1], 1);
        // All have returned from the first of the two.
        unsigned serials = atomic_load(&club->serials[2 * slot]);
        CHECK(serials == trip / TRIPS + 1, "trip %u of %u threads had %d serial threads", trip, club->size, (int)(serials - trip / TRIPS));
    }
}

static struct club clubs[MOST + 1];

static void open_club(struct club *club, unsigned size, unsigned trips) {
    memset(club, 0, sizeof *club);
    club->size = size;
    club->trips = trips;
    INIT(&club->barrier, NULL, size);
}

static void close_club(struct club *club) {
    DESTROY(&club->barrier);
    unsigned long sum = 0;
    for (unsigned slot = 0; slot < 2 * TRIPS; slot++) sum += atomic_load(&club->serials[slot]);
    CHECK(sum == 2ul * club->trips, "%u trips of %u threads had %lu serial threads", 2 * club->trips, club->size, sum);
}

int main(void) {
    struct member *teams[MOST + 1];
    watch("crossing");
    for (unsigned size = 1; size <= MOST; size++) open_club(&clubs[size], size, rounds(300));
    for (unsigned size = 1; size <= MOST; size++) teams[size] = start_team(size, cross, &clubs[size]);
    for (unsigned size = 1; size <= MOST; size++) join_team(teams[size], size);
    for (unsigned size = 1; size <= MOST; size++) close_club(&clubs[size]);
    ok("20 barriers of 1 to 20 threads at once");
    for (unsigned size = 1; size <= 4; size++) {
        open_club(&clubs[size], size, rounds(size == 1 ? 100000 : 10000));
        run_team(size, cross, &clubs[size]);
        close_club(&clubs[size]);
        ok("%u alone", size);
    }
    return 0;
}
