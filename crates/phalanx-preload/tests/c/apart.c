// Trips far apart, for which a barrier may wait in another way than for those in quick succession: one turns into the other and back, under
// signals, and the serial thread destroys the barrier as soon as it has returned.
#include "check.h"
#include <stdint.h>

enum { MOST = 4, TRIPS = 30, QUICK = 3000 };

static pthread_barrier_t barrier;
static unsigned size;
static atomic_uint written[MOST], serials;
static atomic_bool over;
static pthread_t threads[MOST];
static struct gate start = GATE(0);

static void on_signal(int signal) { (void)signal; }

static void cross(unsigned rank, unsigned trip) {
    atomic_store(&written[rank], trip + 1);
    if (TRIP(&barrier)) atomic_fetch_add(&serials, 1);
    for (unsigned other = 0; other < size; other++)
        CHECK(atomic_load(&written[other]) >= trip + 1, "thread %u of %u left trip %u before thread %u came", rank, size, trip, other);
}

static void far_and_near(unsigned rank, void *with) {
    unsigned trip = 0;
    (void)with;
    threads[rank] = pthread_self();
    pass(&start);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned last = trip + rounds(TRIPS); trip < last; trip++) {
            // Who sleeps for longer has the others wait, each of them long behind the last trip.
            nap(turn == 1 && trip % size == rank ? 10000000 : 5000000);
            cross(rank, trip);
        }
        for (unsigned last = trip + rounds(QUICK); trip < last; trip++) cross(rank, trip);
    }
    atomic_store(&written[rank], UINT32_MAX);
}

// A signal now and then to each, all of whom are asleep most of the time.
static void *disturb(void *argument) {
    (void)argument;
    take_seat();
    pass(&start);
    doing("sends signals");
    for (unsigned turn = 0; !atomic_load(&over); turn++) {
        if (atomic_load(&written[turn % size]) != UINT32_MAX) pthread_kill(threads[turn % size], turn / size % 2 ? SIGUSR1 : SIGUSR2);
        nap(700000);
    }
    doing("ended");
    return NULL;
}

static void team_of(unsigned threads_in_it, bool disturbed) {
    pthread_t disturber;
    size = threads_in_it;
    start.count = size + disturbed;
    atomic_store(&over, false);
    atomic_store(&serials, 0);
    for (unsigned rank = 0; rank < size; rank++) atomic_store(&written[rank], 0);
    INIT(&barrier, NULL, size);
    if (disturbed) CHECK(pthread_create(&disturber, NULL, disturb, NULL) == 0, "pthread_create");
    struct member *team = start_team(size, far_and_near, NULL);
    for (unsigned rank = 0; rank < size; rank++)
        while (atomic_load(&written[rank]) != UINT32_MAX) nap(1000000);
    atomic_store(&over, true);
    if (disturbed) pthread_join(disturber, NULL);
    join_team(team, size);
    DESTROY(&barrier);
    unsigned all = 2 * (rounds(TRIPS) + rounds(QUICK));
    CHECK(atomic_load(&serials) == all, "%u trips of %u threads had %u serial threads", all, size, atomic_load(&serials));
    ok("%u threads%s", size, disturbed ? " under signals" : "");
}

// Two barriers in turn; who is serial makes the last one useless at once.
static pthread_barrier_t turns[2];

static void destroy_and_go_on(unsigned rank, void *with) {
    (void)with;
    for (unsigned trip = 0; trip < rounds(40); trip++) {
        pthread_barrier_t *mine = &turns[trip % 2];
        if (trip % 3 != rank % 3) nap(5000000);
        if (!TRIP(mine)) continue;
        DESTROY(mine);
        memset(mine, 0xA5, sizeof *mine);
        INIT(mine, NULL, 2);
    }
}

int main(void) {
    watch("apart");
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = 0;
    sigaction(SIGUSR2, &action, NULL);
    for (unsigned threads_in_it = 2; threads_in_it <= MOST; threads_in_it++) team_of(threads_in_it, false);
    team_of(2, true);
    team_of(3, true);
    INIT(&turns[0], NULL, 2);
    INIT(&turns[1], NULL, 2);
    run_team(2, destroy_and_go_on, NULL);
    DESTROY(&turns[0]);
    DESTROY(&turns[1]);
    ok("destroyed and made anew behind trips far apart");
    return 0;
}
