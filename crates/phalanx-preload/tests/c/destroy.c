// A barrier is destroyed right after the return of one thread, while the others are still leaving: its memory then goes away, or is filled
// with something else, or becomes another barrier.
#include "check.h"
#include <sys/mman.h>

enum { MOST = 5, PATTERN = 0xa5 };

enum manner { UNMAP, FILL, FIRST_UNMAPS };
static const char *const MANNERS[] = {"the serial thread destroys and unmaps", "the serial thread destroys and fills", "whoever is first destroys and unmaps"};

static enum manner manner;
static pthread_barrier_t *barrier;
static atomic_uint firsts;
static struct gate gate;
static unsigned size;

static bool is_filled(const void *memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at++)
        if (((const unsigned char *)memory)[at] != PATTERN) return false;
    return true;
}

static void go_once(unsigned rank, void *with) {
    static pthread_barrier_t filled;
    (void)with;
    unsigned seed = rank;
    for (unsigned round = 0, all = rounds(10000) / 2; round < all; round++) {
        // All have left: what a thread touches too late from here on would be another mapping.
        pass(&gate);
        if (rank == 0) {
            CHECK(manner != FILL || round == 0 || is_filled(&filled, sizeof filled), "a barrier was written to after its destruction in round %u", round);
            barrier = &filled;
            if (manner != FILL) barrier = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            CHECK(barrier != MAP_FAILED, "mmap: %s", strerror(errno));
            INIT(barrier, NULL, size);
            atomic_store(&firsts, 0);
        }
        pass(&gate);
        dawdle(&seed);
        bool mine = TRIP(barrier);
        if (manner == FIRST_UNMAPS) mine = atomic_fetch_add(&firsts, 1) == 0;
        if (!mine) continue;
        DESTROY(barrier);
        if (manner == FILL) {
            memset(barrier, PATTERN, sizeof *barrier);
        } else {
            CHECK(munmap(barrier, 4096) == 0, "munmap: %s", strerror(errno));
        }
    }
}

// The serial thread makes the next barrier at once, in the same memory; the others wait for its word, not for each other.
struct again {
    pthread_barrier_t barrier;
    bool other_count;
    unsigned all;
    atomic_uint round, serials;
    long written[MOST];
};

static unsigned takers(const struct again *again, unsigned round) { return again->other_count ? 1 + round * 7 % MOST : MOST; }

static void go_on(unsigned rank, void *with) {
    struct again *again = with;
    unsigned seed = rank;
    for (unsigned round = 0; round < again->all; round++) {
        unsigned count = takers(again, round);
        if (rank < count) {
            again->written[rank] = round + 1;
            dawdle(&seed);
            if (TRIP(&again->barrier)) {
                for (unsigned other = 0; other < count; other++)
                    CHECK(again->written[other] == round + 1, "round %u was over without thread %u", round, other);
                DESTROY(&again->barrier);
                INIT(&again->barrier, NULL, takers(again, round + 1));
                CHECK(atomic_fetch_add(&again->serials, 1) == round, "round %u has had more or fewer serial threads than one", round);
                atomic_store(&again->round, round + 1);
                continue;
            }
        }
        until_moved(&again->round, round, "waits for the next barrier in the same memory");
    }
}

// As many destroyers as serial threads: none waits for another.
static void in_chains(bool other_count) {
    static struct again again;
    memset(&again, 0, sizeof again);
    again.other_count = other_count;
    again.all = rounds(10000);
    INIT(&again.barrier, NULL, takers(&again, 0));
    run_team(MOST, go_on, &again);
    DESTROY(&again.barrier);
}

int main(void) {
    watch("destroy");
    for (manner = UNMAP; manner <= FIRST_UNMAPS; manner++) {
        for (size = 2; size <= MOST; size += MOST - 2) {
            gate = (struct gate)GATE(size);
            run_team(size, go_once, NULL);
        }
        ok("%s, 10000 times", MANNERS[manner]);
    }
    in_chains(false);
    ok("destroyed and made again at once, 10000 times");
    in_chains(true);
    ok("made again for another count, 10000 times");
    return 0;
}
