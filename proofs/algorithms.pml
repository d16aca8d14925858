/*
 * The algorithms (src/algo/) as such, without breaks and sleeps: N parties, TRIPS trips, every interleaving.
 *
 * One step is one access to a word; to await several flags is one step, since each of them only grows. Orderings are the
 * business of the loom models.
 *
 * What is asked of it: C1, nobody leaves a trip before all have come to it; C7, one leader; and that all end.
 *
 * ALGORITHM (-D): CENTRAL central.rs, COMBINING combining.rs (groups of FAN, one level of them and a root), EXCHANGE
 * exchange.rs, DISSEMINATION dissemination.rs (radix 2), STATIC_TREE static_tree.rs (fan-in 4, a gate; with WAKE_TREE the
 * tree of fan-out 2 back down), TOURNAMENT tournament.rs.
 * Planted bugs: -DBUG_name, see .ci/spin.
 */
#define CENTRAL 1
#define COMBINING 2
#define EXCHANGE 3
#define DISSEMINATION 4
#define STATIC_TREE 5
#define TOURNAMENT 6
#ifndef N
#define N 4
#endif
#ifndef TRIPS
#define TRIPS 3
#endif
#ifndef FAN
#define FAN 3
#endif

byte come[N];       /* for the properties alone: trips that a party has come to */
byte led[TRIPS];
byte slot[N];
byte up[N], down[N]; /* flags of further rounds, up r, go r */
byte gate;
byte count[N];

#define PUBLISH(epoch) epoch = trip + 1
#define REACHED(epoch) (epoch > trip)
#define AWAIT(place, flag) ((place) >= N || flag[(place) % N] > trip)
#define HERE(i) ((i) >= N || come[(i) % N] > trip)
#define ALL(what) (what(0) && what(1) && what(2) && what(3) && what(4) && what(5) && what(6) && what(7))
#define SLOT(i) AWAIT(i, slot)

proctype party(byte me) {
    byte trip = 0;
    bit leads = 0, last;

    do
    :: trip < TRIPS ->
        atomic { come[me]++; slot[me] = trip + 1 }

#if ALGORITHM == CENTRAL
        atomic { count[0]++; leads = (count[0] == N) }
        if
        :: leads ->
#ifdef BUG_RESETS_BEHIND_GO
            PUBLISH(gate);
            count[0] = 0
#elif defined(BUG_RESETS_NOTHING)
            PUBLISH(gate)
#else
            count[0] = 0;
            PUBLISH(gate)
#endif
        :: !leads -> REACHED(gate)
        fi;

#elif ALGORITHM == COMBINING
        atomic { count[1 + me / FAN]++; last = (count[1 + me / FAN] == (N - (me / FAN) * FAN < FAN -> N - (me / FAN) * FAN : FAN)) }
        if
        :: last ->
#ifndef BUG_RESETS_NOTHING
            count[1 + me / FAN] = 0;
#endif
            atomic { count[0]++; leads = (count[0] == (N + FAN - 1) / FAN) }
            if
            :: leads -> count[0] = 0; PUBLISH(gate)
            :: !leads
            fi
        :: !last
        fi;
        last = 0;
        if :: !leads -> REACHED(gate) :: leads fi;

#elif ALGORITHM == EXCHANGE
#ifdef BUG_FORGETS_ONE
        SLOT(0) && SLOT(1) && SLOT(2);
#else
        ALL(SLOT);
#endif
        leads = (me == 0);

#elif ALGORITHM == DISSEMINATION
        slot[(me + N - 1) % N] > trip;
#if N > 2
        PUBLISH(up[me]);
        up[(me + N - 2) % N] > trip;
#endif
#if N > 4
        PUBLISH(down[me]);
#ifdef BUG_LAST_ROUND_IS_NEAR
        down[(me + N - 2) % N] > trip;
#else
        down[(me + N - 4) % N] > trip;
#endif
#endif
        leads = (me == 0);

#elif ALGORITHM == STATIC_TREE
        if
        :: 4 * me + 1 < N ->
#ifdef BUG_FORGETS_A_CHILD
#define CHILD(i) (4 * me + (i) >= N || (16 * me + 4 * (i) + 1 < N -> up[(4 * me + (i)) % N] : slot[(4 * me + (i)) % N]) > trip)
            CHILD(1) && CHILD(2) && CHILD(3);
#else
#define CHILD(i) (4 * me + (i) >= N || (16 * me + 4 * (i) + 1 < N -> up[(4 * me + (i)) % N] : slot[(4 * me + (i)) % N]) > trip)
            CHILD(1) && CHILD(2) && CHILD(3) && CHILD(4);
#endif
            if :: me > 0 -> PUBLISH(up[me]) :: me == 0 fi
        :: else
        fi;
#ifdef WAKE_TREE
        if :: me > 0 -> down[((me + 2 * N - 1) / 2) % N] > trip :: me == 0 fi;
        if :: 2 * me + 1 < N -> PUBLISH(down[me]) :: else fi;
#else
        if :: me == 0 -> PUBLISH(gate) :: me > 0 -> REACHED(gate) fi;
#endif
        leads = (me == 0);

#elif ALGORITHM == TOURNAMENT
/* The flag of place i: its slot if it wins nothing, else up. */
#define LOSER(step) ((me % (2 * (step))) != 0 || me + (step) >= N || (((me + (step)) % 2 == 0 && me + (step) + 1 < N) -> up[(me + (step)) % N] : slot[(me + (step)) % N]) > trip)
#ifdef BUG_TWO_ROUNDS
        LOSER(1) && LOSER(2);
#else
        LOSER(1) && LOSER(2) && LOSER(4);
#endif
        if
        :: me == 0 -> PUBLISH(gate)
        :: me > 0 && me % 2 == 0 && me + 1 < N -> PUBLISH(up[me]); REACHED(gate)
        :: else -> REACHED(gate)
        fi;
        leads = (me == 0);
#endif

        atomic {
            assert(ALL(HERE));             /* C1 */
            led[trip] = led[trip] + leads;
            assert(led[trip] <= 1);        /* C7 */
            leads = 0;
            trip++
        }
    :: trip == TRIPS -> break
    od
}

init {
    byte i;
    atomic {
        for (i : 0 .. N - 1) { run party(i) }
        i = 0
    }
    _nr_pr == 1; /* all have ended */
    for (i : 0 .. TRIPS - 1) { assert(led[i] == 1) }
}
