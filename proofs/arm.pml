/*
 * The crossings of tso.pml on AArch64. Every execution of them, on an abstract machine of another kind.
 *
 * An instruction is performed in one step that all see at once (stores are multi-copy atomic), but not in program order: it
 * may be performed as soon as those are that it has to come behind. Those are, as far as they occur here: for whatever
 * stands behind an acquiring load, that load; for a releasing store, all before it; for whatever stands behind a full
 * barrier, all before the barrier. A load may so be performed long before a store in front of it. (An acquiring load is
 * taken for LDAPR: LDAR would also wait for the STLR before it, which helps where it is used.)
 *
 * membarrier: `a` a full barrier, an interrupt to every other thread, `c` a full barrier behind the last answer. A thread
 * takes the interrupt between two instructions of its program: none behind that point has been performed (what was
 * loaded ahead is thrown away, as if it had not been), and none will be before the handler's barrier has seen all before it
 * performed. The answer is sent behind that barrier.
 *
 * CROSSING and variants as in tso.pml, and -DNO_MB_BEFORE (no `a`), -DNO_MB_AFTER (no `c`), -DNO_MB_IN_HANDLER: what the
 * comments of the kernel's membarrier.c say is needed.
 */
#define BREAK 1
#define SLEEP 2
#define SPLIT 3
#ifndef CROSSING
#define CROSSING BREAK
#endif

#define WORD 0
#define A 1
#define B 2

byte mem[3];
byte seen[6];
byte done[3];               /* by thread: which instructions have been performed, a mask */
byte point[3] = 255;        /* where the thread was interrupted */
byte length[3];
bit interrupt[2];           /* of the threads beside the few, who alone call */
byte finished;
bit ahead[2];

#define BEFORE(i) ((1 << (i)) - 1)
#define HAS_DONE(t, mask) ((done[t] & (mask)) == (mask))

#define LOAD 0   /* into seen[what] */
#define STORE 1  /* also what a read-modify-write does, whose load is not used */
#define FENCE 2

#ifdef NO_WAIT
#define ANSWERED true
#else
#define ANSWERED (!interrupt[0] && !interrupt[1])
#endif
#define PERFORMED done[t] = done[t] | (1 << i); finished = finished + (done[t] == BEFORE(length[t]))

#define MAY(i, behind) (HAS_DONE(t, behind) && (i < point[t] || HAS_DONE(t, BEFORE(point[t]))))

/* Instruction i of thread t, which has to come behind those in `behind`. */
proctype instruction(byte t; byte i; byte behind; byte kind; byte where; byte what) {
    atomic {
        MAY(i, behind) ->
        if
        :: kind == LOAD -> seen[what] = mem[where]
        :: kind == STORE -> mem[where] = 1
        :: kind == FENCE
        fi;
        PERFORMED
    }
}

/* The same for `membarrier`. */
proctype call(byte t; byte i; byte behind) {
    atomic { MAY(i, behind) -> interrupt[0] = 1; interrupt[1] = 1 }
    atomic { ANSWERED -> PERFORMED }
}

/* `ipi_mb` on the CPU of thread t. */
proctype handler(byte t) {
    byte at = 0;
end:
    do
    :: atomic {
            interrupt[t] ->
            do
            :: at < length[t] -> at++
            :: (done[t] >> at) == 0 -> break
            od;
            point[t] = at
        }
#ifndef NO_MB_IN_HANDLER
        HAS_DONE(t, BEFORE(at));
#else
        point[t] = 255;
#endif
        atomic { interrupt[t] = 0; at = 0 }
    od
}

#ifdef FENCES
#define LIGHT(mask) mask /* a full barrier: behind all before it */
#else
#define LIGHT(mask) 0
#endif

/* What has to come behind membarrier, or behind the fence in its place; and before it. */
#ifdef NO_MB_BEFORE
#define CALLED_BEHIND 0
#else
#define CALLED_BEHIND 1
#endif
#if defined(NO_HEAVY)
#define HEAVY(i, behind) run instruction(2, i, behind, FENCE, 0, 0)
#define BEHIND_HEAVY 0
#elif defined(FENCES) || defined(LOCAL_HEAVY)
#define HEAVY(i, behind) run instruction(2, i, behind, FENCE, 0, 0)
#define BEHIND_HEAVY 3
#elif defined(NO_MB_AFTER)
#define HEAVY(i, behind) run call(2, i, behind)
#define BEHIND_HEAVY 0
#else
#define HEAVY(i, behind) run call(2, i, behind)
#define BEHIND_HEAVY 3
#endif

inline many(t, mine, other, place) {
#if CROSSING == BREAK
    length[t] = 3;
#ifdef NO_LIGHT
    run instruction(t, 0, 0, LOAD, WORD, place + 1);
    run instruction(t, 1, 1, STORE, mine, 0);             /* release */
    run instruction(t, 2, 0, LOAD, other, place);
#else
    run instruction(t, 0, 0, STORE, mine, 0);             /* release */
    run instruction(t, 1, 0, LOAD, other, place);         /* acquire */
    run instruction(t, 2, 2 | LIGHT(3), LOAD, WORD, place + 1);
#endif
#else
    length[t] = (CROSSING == SPLIT -> 3 : 2);
#ifdef NO_LIGHT
    run instruction(t, 0, 0, LOAD, WORD, place + 1);
    run instruction(t, 1, 1, STORE, mine, 0);
#else
    run instruction(t, 0, 0, STORE, mine, 0);
    run instruction(t, 1, LIGHT(1), LOAD, WORD, place + 1);
#endif
#if CROSSING == SPLIT
#ifdef NO_SPLIT
    run instruction(t, 2, 0, LOAD, other, place);
#else
    /* The barrier of `split` stands behind a branch. Who loads ahead of it must not come to the barrier, or what it loaded is
     * thrown away: such executions do not count. */
    if
    :: run instruction(t, 2, 3, LOAD, other, place)
    :: run instruction(t, 2, 0, LOAD, other, place); ahead[t] = 1
    fi;
#endif
#endif
#endif
}

init {
    atomic {
        many(0, A, B, 0);
#if CROSSING == SPLIT
        many(1, B, A, 2);
#elif CROSSING == BREAK
        length[1] = 1;
        run instruction(1, 0, 0, STORE, B, 0);
#else
        finished++;
#endif
        length[2] = 4;
#ifdef LOOKS_FIRST
        run instruction(2, 0, 0, LOAD, A, 4);
        run instruction(2, 1, 0, LOAD, B, 5);
        run instruction(2, 2, 3, STORE, WORD, 0);
        HEAVY(3, 7);
#else
        run instruction(2, 0, 0, STORE, WORD, 0);
        HEAVY(1, CALLED_BEHIND);
        run instruction(2, 2, BEHIND_HEAVY, LOAD, A, 4);
        run instruction(2, 3, BEHIND_HEAVY, LOAD, B, 5);
#endif
        run handler(0);
        run handler(1)
    }
    finished == 3;
    if :: (ahead[0] && seen[1]) || (ahead[1] && seen[3]) -> goto end :: else fi;
#if CROSSING == BREAK
    assert(!(seen[0] && !seen[1] && !(seen[4] && seen[5])));
#elif CROSSING == SLEEP
    assert(!(!seen[1] && !seen[4]));
#else
    assert(!(!(seen[4] && seen[5]) && !(seen[1] && seen[0]) && !(seen[3] && seen[2])));
#endif
end: skip
}
