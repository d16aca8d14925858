/* One party's part in a round, for barriers that only their own runtime's threads or processes can cross.
 *
 * Whoever includes this has defined MEET(), one trip; WHO, whose usage is a party's; and `summed`, one reduction with
 * its check. Clock, delays and work are the caller's own functions, so that all peers take and do the same. */
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum what { TRIPS, REDUCE, FORK, LATE, UNTIL };

/* A line of its own, shared by all parties; volatile, so that the compiler does not keep what it wrote. */
struct line {
    volatile int64_t is;
    char rest[120];
};

/* src/peer/object.rs has the same. */
struct order {
    int32_t what, parties;
    const int32_t *cpus; /* a negative one is anywhere */
    int64_t opening, trips, verified;
    uint64_t steps; /* of work before each timed trip */
    uint64_t ticks; /* that a round lasts */
    int64_t idle;   /* nanoseconds before each region */
    struct line *slots; /* one per party, and one for the number of the last trip */
    uint64_t *seen;     /* by party and trip: when it arrived, when it was released, and its CPU time in between */
    uint64_t (*stamp)(void);
    uint64_t (*cpu)(void);
    void (*chain)(uint64_t steps);
    void (*hold)(const void *context, int rank, int64_t trip);
    const void *context;
};

/* What one party found. */
struct report {
    uint64_t ticks;
    int64_t trips, wrong, team, pid, cpu_ns, voluntary, involuntary;
};

static int pin(int cpu) {
    static _Thread_local int pinned = -1;
    if (cpu < 0 || pinned == cpu)
        return 0;
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(cpu, &mask);
    if (sched_setaffinity(0, sizeof mask, &mask) != 0)
        return 1;
    pinned = cpu;
    return 0;
}

struct usage {
    int64_t cpu_ns, voluntary, involuntary;
};

static struct usage used(int who) {
    struct rusage r;
    struct timespec t;
    getrusage(who, &r);
    clock_gettime(who == RUSAGE_SELF ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_THREAD_CPUTIME_ID, &t);
    return (struct usage){(int64_t)t.tv_sec * 1000000000 + t.tv_nsec, r.ru_nvcsw, r.ru_nivcsw};
}

static void account(struct report *out, struct usage before, int who) {
    struct usage after = used(who);
    out->cpu_ns = after.cpu_ns - before.cpu_ns;
    out->voluntary = after.voluntary - before.voluntary;
    out->involuntary = after.involuntary - before.involuntary;
}

/* What party `rank` brings to a reduction, and what all bring together: exact in a double, whatever the order. */
static double brought(int rank, int64_t trip) { return (double)(trip & 1023) + 0.5 * rank; }

static double expected(int parties, int64_t trip) {
    return (double)parties * (double)(trip & 1023) + 0.25 * parties * (parties - 1);
}

/* Trips as fast as they go, or with work before each, and then those that are checked. */
static void trips(const struct order *o, int me, struct report *out) {
    for (int64_t i = 0; i < o->opening; i++)
        MEET();
    struct usage before = used(WHO);
    /* Reading that takes a while, and the clock should not run while others still do. */
    MEET();
    uint64_t start = o->stamp();
    if (o->steps == 0)
        for (int64_t i = 0; i < o->trips; i++)
            MEET();
    else
        for (int64_t i = 0; i < o->trips; i++) {
            o->chain(o->steps);
            MEET();
        }
    out->ticks = o->stamp() - start;
    account(out, before, WHO);
    out->trips = o->trips;
    for (int64_t i = 1; i <= o->verified; i++) {
        o->slots[me].is = i;
        MEET();
        for (int other = 0; other < o->parties; other++) {
            int64_t seen = o->slots[other].is;
            out->wrong += seen != i && seen != i + 1;
        }
    }
}

/* Reductions in place of bare barriers; every result is checked, those of the `verified` trips like all. */
static void sums(const struct order *o, int me, struct report *out) {
    double before[2] = {0, 0};
    int64_t trip = 0;
    for (; trip < o->opening; trip++)
        out->wrong += summed(o->parties, me, trip, before);
    struct usage at_first = used(WHO);
    out->wrong += summed(o->parties, me, trip++, before);
    uint64_t start = o->stamp();
    for (int64_t end = trip + o->trips; trip < end; trip++)
        out->wrong += summed(o->parties, me, trip, before);
    out->ticks = o->stamp() - start;
    account(out, at_first, WHO);
    out->trips = o->trips;
    for (int64_t end = trip + o->verified; trip < end; trip++)
        out->wrong += summed(o->parties, me, trip, before);
}

/* Trips to which somebody comes late, each timed by everybody. */
static void late(const struct order *o, int me, struct report *out) {
    uint64_t *mine = o->seen + 3 * o->trips * me;
    for (int64_t i = 0; i < o->opening; i++)
        MEET();
    struct usage before = used(WHO);
    for (int64_t i = 0; i < o->trips; i++) {
        o->hold(o->context, me, i);
        uint64_t burnt = o->cpu ? o->cpu() : 0;
        mine[3 * i] = o->stamp();
        MEET();
        mine[3 * i + 1] = o->stamp();
        mine[3 * i + 2] = o->cpu ? o->cpu() - burnt : 0;
    }
    account(out, before, WHO);
    out->trips = o->trips;
}

/* Trips until party 0 has seen so many ticks go by; it says which is the last before it arrives there. */
static void until(const struct order *o, int me, struct report *out) {
    volatile int64_t *last = &o->slots[o->parties].is;
    if (me == 0)
        *last = INT64_MAX;
    for (int64_t i = 0; i < o->opening; i++)
        MEET();
    struct usage before = used(WHO);
    uint64_t start = o->stamp();
    int64_t trip = 0;
    do {
        trip++;
        if (me == 0 && o->stamp() - start >= o->ticks)
            *last = trip;
        MEET();
    } while (*last > trip);
    out->ticks = o->stamp() - start;
    account(out, before, WHO);
    out->trips = trip;
}

static void party(const struct order *o, int me, int team, struct report *out) {
    *out = (struct report){.team = team, .pid = getpid()};
    switch (o->what) {
    case TRIPS:
        trips(o, me, out);
        break;
    case REDUCE:
        sums(o, me, out);
        break;
    case LATE:
        late(o, me, out);
        break;
    case UNTIL:
        until(o, me, out);
        break;
    }
}
