// Where a barrier may lie, that nothing is written outside of its 32 bytes, and that barriers nobody destroys cost nothing.
#include "check.h"

enum { TEAM = 3, GUARD = 64, PATTERN = 0xc3, MILLION = 1000000 };

static pthread_barrier_t in_static;
static long written[TEAM];

static void cross(unsigned rank, void *with) {
    for (unsigned trip = 0; trip < 200; trip++) {
        written[rank] = trip + 1;
        TRIP(with);
        for (unsigned other = 0; other < TEAM; other++) CHECK(written[other] == trip + 1, "thread %u was not waited for", other);
        TRIP(with);
    }
}

static void use(void *memory) {
    INIT(memory, NULL, TEAM);
    run_team(TEAM, cross, memory);
    DESTROY(memory);
    // A second life, of another count.
    INIT(memory, NULL, 1);
    CHECK(TRIP(memory), "the only thread is the serial thread");
    DESTROY(memory);
}

static void guarded(unsigned offset) {
    static _Alignas(64) unsigned char memory[64 + 2 * GUARD + 64];
    unsigned char *barrier = memory + GUARD + offset;
    memset(memory, PATTERN, sizeof memory);
    use(barrier);
    for (unsigned at = 0; at < sizeof memory; at++)
        CHECK((memory + at >= barrier && memory + at < barrier + 32) || memory[at] == PATTERN, "at offset %u, byte %td after the barrier was written", offset, memory + at - barrier);
}

// Pages that the program has in memory, in bytes.
static long resident(void) {
    long pages = 0, total = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%ld %ld", &total, &pages) == 2, "statm cannot be read");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void does_not_grow(const char *what, unsigned places, bool destroys) {
    pthread_barrier_t *barriers = malloc(places * sizeof *barriers);
    CHECK(barriers, "no memory for %u barriers", places);
    memset(barriers, PATTERN, places * sizeof *barriers);
    unsigned turns = rounds(MILLION);
    long before = 0;
    for (unsigned turn = 0; turn < turns; turn++) {
        // What the first thousand cost may be had once.
        if (turn == turns / 1000) before = resident();
        INIT(&barriers[turn % places], NULL, 1 + turn % 7);
        if (destroys) DESTROY(&barriers[turn % places]);
    }
    long grown = resident() - before;
    CHECK(grown < 1 << 20, "%u barriers made the program %ld bytes larger", turns, grown);
    free(barriers);
    ok("%s", what);
}

int main(void) {
    pthread_barrier_t on_stack, *on_heap = malloc(sizeof *on_heap);
    watch("memory");
    CHECK(on_heap, "no memory");
    use(&in_static);
    use(&on_stack);
    use(on_heap);
    free(on_heap);
    ok("static, stack, heap");
    for (unsigned offset = 0; offset < 64; offset += 8) guarded(offset);
    ok("at each alignment, and not a byte outside");
    does_not_grow("a million inits in one place, none destroyed", 1, false);
    does_not_grow("a million inits in as many places, none destroyed", MILLION, false);
    does_not_grow("a million barriers made and destroyed", 1000, true);
    return 0;
}
