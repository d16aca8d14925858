// Concurrency Kit's five barriers behind one handle per party.
//
// Each kind wants its own setting up: a flag, groups of threads in a tree, arrays of rounds or flags for each thread, or
// a node per thread; and each party has a state that it alone may use. Where the layout is left to us, whatever one
// thread writes alone lies on lines of its own.
#include <ck_barrier.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LINE 128
#define LINES(size) (((size) + LINE - 1) / LINE * LINE)

enum kind { CENTRALIZED, COMBINING, DISSEMINATION, TOURNAMENT, MCS, KINDS };

// So many threads meet in one leaf of the combining tree, which itself is binary.
enum { IN_GROUP = 4 };

struct party {
    struct barrier *barrier;
    ck_barrier_combining_group_t *group;
    union {
        ck_barrier_centralized_state_t centralized;
        ck_barrier_combining_state_t combining;
        ck_barrier_dissemination_state_t dissemination;
        ck_barrier_tournament_state_t tournament;
        ck_barrier_mcs_state_t mcs;
    } state;
} __attribute__((aligned(LINE)));

struct barrier {
    // These are read on every trip and never written, so they may share a line.
    unsigned parties;
    struct party *party;
    void *rows, *blocks;
    ck_barrier_dissemination_t *dissemination;
    ck_barrier_mcs_t *mcs;
    ck_barrier_centralized_t centralized __attribute__((aligned(LINE)));
    ck_barrier_combining_t combining __attribute__((aligned(LINE)));
    ck_barrier_tournament_t tournament __attribute__((aligned(LINE)));
};

// Zeroes, which the tournament relies on: a role that it does not write is 0, a bye.
static void *lines(size_t size) {
    void *block = aligned_alloc(LINE, LINES(size));
    return block ? memset(block, 0, LINES(size)) : NULL;
}

// An array of `size` bytes for each party, and the array of pointers to them that the library asks for.
static void *rows(struct barrier *barrier, size_t size) {
    char *block = barrier->blocks = lines(barrier->parties * LINES(size));
    char **row = barrier->rows = lines(barrier->parties * sizeof *row);
    for (unsigned rank = 0; block && row && rank < barrier->parties; rank++) row[rank] = block + rank * LINES(size);
    return block ? row : NULL;
}

void versus_ck_destroy(void *it) {
    struct barrier *barrier = it;
    free(barrier->party);
    free(barrier->rows);
    free(barrier->blocks);
    free(barrier->dissemination);
    free(barrier->mcs);
    free(barrier);
}

static int combining(struct barrier *barrier) {
    unsigned parties = barrier->parties, leaves = (parties + IN_GROUP - 1) / IN_GROUP;
    // The first is the root, which has no threads of its own: the library knows no other way.
    ck_barrier_combining_group_t *group = barrier->blocks = lines((1 + leaves) * sizeof *group);
    if (!group) return 0;
    ck_barrier_combining_init(&barrier->combining, group);
    for (unsigned leaf = 0; leaf < leaves; leaf++) {
        unsigned rest = parties - leaf * IN_GROUP;
        ck_barrier_combining_group_init(&barrier->combining, &group[1 + leaf], rest < IN_GROUP ? rest : IN_GROUP);
    }
    for (unsigned rank = 0; rank < parties; rank++) {
        barrier->party[rank].group = &group[1 + rank / IN_GROUP];
        barrier->party[rank].state.combining.sense = ~0U;
    }
    return 1;
}

static int dissemination(struct barrier *barrier) {
    unsigned parties = barrier->parties;
    ck_barrier_dissemination_flag_t **flags =
        rows(barrier, ck_barrier_dissemination_size(parties) * sizeof(ck_barrier_dissemination_flag_t));
    barrier->dissemination = lines(parties * sizeof(ck_barrier_dissemination_t));
    if (!flags || !barrier->dissemination) return 0;
    ck_barrier_dissemination_init(barrier->dissemination, flags, parties);
    for (unsigned rank = 0; rank < parties; rank++)
        ck_barrier_dissemination_subscribe(barrier->dissemination, &barrier->party[rank].state.dissemination);
    return 1;
}

static int tournament(struct barrier *barrier) {
    unsigned parties = barrier->parties;
    ck_barrier_tournament_round_t **rounds =
        rows(barrier, ck_barrier_tournament_size(parties) * sizeof(ck_barrier_tournament_round_t));
    if (!rounds) return 0;
    ck_barrier_tournament_init(&barrier->tournament, rounds, parties);
    for (unsigned rank = 0; rank < parties; rank++)
        ck_barrier_tournament_subscribe(&barrier->tournament, &barrier->party[rank].state.tournament);
    return 1;
}

static int mcs(struct barrier *barrier) {
    unsigned parties = barrier->parties;
    // An array of the library's own type: it indexes it, so its nodes lie as close as the type has them.
    barrier->mcs = lines(parties * sizeof(ck_barrier_mcs_t));
    if (!barrier->mcs) return 0;
    ck_barrier_mcs_init(barrier->mcs, parties);
    for (unsigned rank = 0; rank < parties; rank++)
        ck_barrier_mcs_subscribe(barrier->mcs, &barrier->party[rank].state.mcs);
    return 1;
}

// NULL if there is no such kind, or no memory.
void *versus_ck_create(int kind, unsigned parties) {
    struct barrier *barrier = lines(sizeof *barrier);
    if (!barrier) return NULL;
    barrier->parties = parties;
    barrier->party = lines(parties * sizeof(struct party));
    int done = 0;
    if (barrier->party) {
        for (unsigned rank = 0; rank < parties; rank++) barrier->party[rank].barrier = barrier;
        switch (kind) {
        // Zeroes are what its initialisers say.
        case CENTRALIZED: done = 1; break;
        case COMBINING: done = combining(barrier); break;
        case DISSEMINATION: done = dissemination(barrier); break;
        case TOURNAMENT: done = tournament(barrier); break;
        case MCS: done = mcs(barrier); break;
        }
    }
    if (done) return barrier;
    versus_ck_destroy(barrier);
    return NULL;
}

// The handle of one party, alive as long as the barrier.
void *versus_ck_party(void *barrier, unsigned rank) { return &((struct barrier *)barrier)->party[rank]; }

// The library leaves it to its user to order what comes before a trip and what after, except where it needs the order
// itself. On x86 these two are no instructions.
#define WAIT(name, call)                                                                                               \
    static void name(void *handle) {                                                                                   \
        struct party *party = handle;                                                                                  \
        atomic_thread_fence(memory_order_release);                                                                     \
        call;                                                                                                          \
        atomic_thread_fence(memory_order_acquire);                                                                     \
    }

WAIT(wait_centralized,
     ck_barrier_centralized(&party->barrier->centralized, &party->state.centralized, party->barrier->parties))
WAIT(wait_combining, ck_barrier_combining(&party->barrier->combining, party->group, &party->state.combining))
WAIT(wait_dissemination, ck_barrier_dissemination(party->barrier->dissemination, &party->state.dissemination))
WAIT(wait_tournament, ck_barrier_tournament(&party->barrier->tournament, &party->state.tournament))
WAIT(wait_mcs, ck_barrier_mcs(party->barrier->mcs, &party->state.mcs))

// What a party of such a barrier calls on each trip: chosen once, so that no trip has a switch in it.
void (*versus_ck_waiter(int kind))(void *) {
    static void (*const waiters[KINDS])(void *) = {
        [CENTRALIZED] = wait_centralized, [COMBINING] = wait_combining, [DISSEMINATION] = wait_dissemination,
        [TOURNAMENT] = wait_tournament, [MCS] = wait_mcs};
    return kind >= 0 && kind < KINDS ? waiters[kind] : NULL;
}
