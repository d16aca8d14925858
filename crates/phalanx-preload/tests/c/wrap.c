// Words that wrap: a barrier that has made so many trips that what it counts in begins anew.
//
// No test makes 2^32 trips of several threads, so the words of a barrier that nobody has waited at are moved close to their ends. That takes
// knowing them: the preload's (src/barrier/compat/in_place.rs), those of glibc 2.25 and later, and those of the library that is wrong on
// purpose. Which they are is seen by what three trips of one thread leave in them, whatever the library's file is called.
//
// With the argument `far` one thread makes 2^32 trips and some, and no word is moved.
#include "check.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>

enum { MOST = 8, TURNS = 150, PATTERN = 0xa5 };

static union {
    pthread_barrier_t barrier;
    struct {
        uint64_t count;
        uint32_t bell, left, parties, note;
        uint64_t lessons;
    } ours;
    struct {
        uint32_t in, current_round, count, shared, out;
    } glibc;
    struct {
        uint32_t lock, generation, inside, arrived, count, shared;
    } shim;
    unsigned char bytes[32];
} it;
_Static_assert(sizeof it == sizeof(pthread_barrier_t), "nothing lies behind it");

static enum { UNKNOWN, OURS, GLIBC, SHIM } layout;

// Arrivals at which something wraps, or whose count is the last that fits.
struct end {
    uint64_t arrivals;
    bool is_the_last;
};
// Of ours: the lower half of the count; `left`, and the next bit of the count; the count's sign. Its 64 bits last for 292 years, so
// nothing is to be behind them; but up to there all must be well.
static const struct end OUR_ENDS[] = {{1ull << 31, false}, {1ull << 32, false}, {1ull << 62, false}, {INT64_MAX, true}};
static unsigned ends;

// glibc begins anew when so many have left: its BARRIER_IN_THRESHOLD, as far as whole trips go.
static uint32_t glibc_end(unsigned size) { return UINT_MAX / 2 - UINT_MAX / 2 % size; }

static void make(unsigned size, int shared) {
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, shared);
    INIT(&it.barrier, &attributes, size);
}

// Moves a new barrier to `lead` trips before an end; how many trips it has made then.
static uint64_t move(unsigned size, unsigned end, unsigned lead) {
    uint64_t trips = 0;
    switch (layout) {
    case OURS:
        trips = OUR_ENDS[end].arrivals / size - lead;
        it.ours.count = 2 * trips * size;
        it.ours.left = (uint32_t)(trips * size);
        // Wraps with the second wake.
        it.ours.bell = UINT32_MAX - 1;
        break;
    case GLIBC:
        trips = glibc_end(size) / size - lead;
        it.glibc.in = it.glibc.current_round = it.glibc.out = (uint32_t)(trips * size);
        break;
    case SHIM:
        trips = (1ull << 32) - lead;
        it.shim.generation = (uint32_t)trips;
        break;
    case UNKNOWN: break;
    }
    return trips;
}

// Its words are what so many trips make them.
static void stands_at(unsigned size, uint64_t trips) {
    uint64_t arrivals = trips * size;
    uint32_t in = (uint32_t)(arrivals < glibc_end(size) ? arrivals : arrivals - glibc_end(size));
    switch (layout) {
    case OURS:
        CHECK(it.ours.count / 2 == arrivals, "behind trip %llu of %u threads the count is %llu", (unsigned long long)trips, size, (unsigned long long)it.ours.count);
        CHECK(it.ours.left == (uint32_t)arrivals, "behind trip %llu of %u threads %u have left", (unsigned long long)trips, size, it.ours.left);
        break;
    case GLIBC:
        CHECK(it.glibc.in == in && it.glibc.current_round == in && it.glibc.out == in, "behind trip %llu of %u threads: in %u, out %u", (unsigned long long)trips, size, it.glibc.in, it.glibc.out);
        break;
    case SHIM: CHECK(it.shim.generation == (uint32_t)trips, "behind trip %llu the generation is %u", (unsigned long long)trips, it.shim.generation); break;
    case UNKNOWN: break;
    }
}

// Whether a barrier of glibc begins anew where it is expected to.
static bool glibc_wraps(void) {
    layout = GLIBC;
    make(1, PTHREAD_PROCESS_PRIVATE);
    move(1, 0, 2);
    for (unsigned trip = 0; trip < 5; trip++) TRIP(&it.barrier);
    bool wraps = it.glibc.in == 3 && it.glibc.current_round == 3 && it.glibc.out == 3;
    if (wraps) DESTROY(&it.barrier);
    return wraps;
}

static void find_layout(void) {
    Dl_info info;
    CHECK(dladdr((void *)pthread_barrier_wait, &info) && info.dli_fname, "nobody knows whose pthread_barrier_wait is");
    bool of_libc = strstr(info.dli_fname, "libc.so") || strstr(info.dli_fname, "libpthread");
    make(1, PTHREAD_PROCESS_PRIVATE);
    for (unsigned trip = 0; trip < 3; trip++) TRIP(&it.barrier);
    if (of_libc) {
        bool like_glibc = it.glibc.in == 3 && it.glibc.current_round == 3 && it.glibc.out == 3 && it.glibc.count == 1;
        DESTROY(&it.barrier);
        layout = like_glibc && glibc_wraps() ? GLIBC : UNKNOWN;
    } else {
        if (it.ours.count == 6 && it.ours.bell == UINT32_MAX && it.ours.left == 3 && it.ours.parties == 1) layout = OURS;
        if (it.shim.generation == 3 && it.shim.inside == 0 && it.shim.arrived == 0 && it.shim.count == 1) layout = SHIM;
        DESTROY(&it.barrier);
        CHECK(layout != UNKNOWN, "the words of %s are not known here", info.dli_fname);
    }
    if (layout == UNKNOWN) dprintf(1, "left out: the words of this C library are not known here, so none wraps\n");
    ends = layout == OURS ? sizeof OUR_ENDS / sizeof *OUR_ENDS : 1;
}

static unsigned size, turns;
// Not atomic: only the barrier orders them.
static unsigned written[MOST];
static atomic_uint serials[2 * TURNS];

static void cross(unsigned rank, void *with) {
    unsigned seed = rank * 7919 + size;
    (void)with;
    for (unsigned turn = 0; turn < turns; turn++) {
        // In the middle, where it wraps, the others are asleep.
        bool close = turn + 1 >= turns / 2 && turn <= turns / 2 + 1;
        if (close && rank == turn % size) nap(1500000);
        else dawdle(&seed);
        written[rank] = turn + 1;
        if (TRIP(&it.barrier)) atomic_fetch_add(&serials[2 * turn], 1);
        for (unsigned other = 0; other < size; other++)
            CHECK(written[other] == turn + 1, "thread %u of %u left trip %u, and thread %u was at %d", rank, size, 2 * turn, other, (int)written[other] - 1);
        if (TRIP(&it.barrier)) atomic_fetch_add(&serials[2 * turn + 1], 1);
    }
}

static void across(unsigned end, int shared) {
    bool is_the_last = layout == OURS && OUR_ENDS[end].is_the_last;
    turns = rounds(TURNS);
    memset(written, 0, sizeof written);
    for (unsigned trip = 0; trip < 2 * turns; trip++) atomic_store(&serials[trip], 0);
    make(size, shared);
    uint64_t before = move(size, end, is_the_last ? 2 * turns : turns);
    run_team(size, cross, NULL);
    for (unsigned trip = 0; trip < 2 * turns; trip++)
        CHECK(atomic_load(&serials[trip]) == 1, "trip %u of %u threads had %u serial threads", trip, size, atomic_load(&serials[trip]));
    stands_at(size, before + 2 * turns);
    DESTROY(&it.barrier);
}

static void some_trips(unsigned rank, void *with) {
    unsigned trips = *(unsigned *)with, seed = rank;
    bool serial = false;
    for (unsigned trip = 0; trip < trips; trip++) {
        dawdle(&seed);
        serial = TRIP(&it.barrier);
    }
    if (!serial) return;
    DESTROY(&it.barrier);
    memset(&it, PATTERN, sizeof it);
}

// Destroyed by the serial thread of a trip before the end, at it and behind it, while the others leave.
static void destroyed(unsigned end, int shared) {
    for (unsigned trips = 1; trips <= 5; trips++)
        for (unsigned again = 0; again < rounds(8); again++) {
            make(size, shared);
            move(size, end, layout == OURS && OUR_ENDS[end].is_the_last ? 5 : 2);
            run_team(size, some_trips, &trips);
            for (unsigned at = 0; at < sizeof it; at++) CHECK(it.bytes[at] == PATTERN, "byte %u of a barrier was written to after its destruction", at);
        }
}

static int far(void) {
    const uint64_t trips = (1ull << 32) + 1000;
    uint64_t serial = 0;
    make(1, PTHREAD_PROCESS_PRIVATE);
    doing("makes 2^32 trips");
    for (uint64_t trip = 0; trip < trips; trip++) serial += pthread_barrier_wait(&it.barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
    DESTROY(&it.barrier);
    CHECK(serial == trips, "of %llu waits of one thread %llu were serial", (unsigned long long)trips, (unsigned long long)serial);
    ok("2^32 trips and some of one thread");
    return 0;
}

int main(int count, char **arguments) {
    static const unsigned SIZES[] = {1, 2, 3, 5, MOST};
    watch("wrap");
    if (count > 1 && !strcmp(arguments[1], "far")) return far();
    find_layout();
    for (int shared = PTHREAD_PROCESS_PRIVATE; shared <= PTHREAD_PROCESS_SHARED; shared++)
        for (unsigned which = 0; which < sizeof SIZES / sizeof *SIZES; which++) {
            size = SIZES[which];
            for (unsigned end = 0; end < ends; end++) {
                across(end, shared);
                destroyed(end, shared);
            }
            ok("%u threads, %s", size, shared ? "shared" : "private");
        }
    return 0;
}
