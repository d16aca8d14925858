/*
 * The crossings (docs/memory-model.md) on x86-64: "store mine, look at yours" on both sides, with a compiler fence on the
 * side of the many and membarrier on the side of the few. Every execution of them, on an abstract machine.
 *
 * The machine is x86-TSO: a thread's stores wait in a queue of its own and reach the memory in order, at any time; its
 * loads do not wait for them; a locked read-modify-write and a fence wait until the queue is empty. (No thread here loads
 * what it has stored itself, so that the machine needs no forwarding.)
 *
 * membarrier: an interrupt is sent to every other thread; at some moment before the call returns each of them empties its
 * queue, between two instructions of its program. A thread that does not run has emptied its queue when it was switched
 * out, which is the same.
 *
 * CROSSING: BREAK a party that learns from the slots that all have come, against a breaker (completion against a turn is
 * the same with another bit); SLEEP a releaser against a parker, and `gone` against the break for a panic, which has the
 * same shape; SPLIT two that arrive and go away beside a sleeper.
 * Variants: -DFENCES full fences on both sides instead; and those that must fail: -DNO_HEAVY, -DLOCAL_HEAVY (a fence of the
 * caller alone), -DNO_WAIT (it does not wait for the interrupts), -DNO_LIGHT (the compiler may swap), -DLOOKS_FIRST (the
 * few look before they store), -DNO_SPLIT.
 */
#define BREAK 1
#define SLEEP 2
#define SPLIT 3
#ifndef CROSSING
#define CROSSING BREAK
#endif

#define WORD 0 /* the attention word */
#define A 1    /* slot, or gone, or what is waited for */
#define B 2

byte mem[3];
byte seen[6];                              /* what was loaded */
chan queue[3] = [2] of { byte, byte };
bit interrupt[3];
byte finished;

#define store(address) queue[me]!address, 1
#define load(place, address) seen[place] = mem[address]
#define mfence empty(queue[me])
#define locked_or(address) atomic { empty(queue[me]) -> mem[address] = 1 }

#ifdef FENCES
#define light mfence
#else
#define light skip
#endif

inline heavy() {
#if defined(FENCES) || defined(LOCAL_HEAVY)
    mfence;
#elif defined(NO_HEAVY)
    skip;
#else
    mfence;
    atomic { interrupt[0] = (me != 0); interrupt[1] = (me != 1); interrupt[2] = (me != 2) }
#ifndef NO_WAIT
    !interrupt[0] && !interrupt[1] && !interrupt[2];
#endif
    mfence;
#endif
}

/* What a thread has stored reaches the memory. */
proctype drain(byte me) {
    byte address, value;
end:
    do
    :: atomic { queue[me]?address, value -> mem[address] = value; address = 0; value = 0 }
    od
}

/* `ipi_mb`: the handler ends at a moment when the queue is empty. */
proctype handler(byte me) {
end:
    do
    :: atomic { interrupt[me] && empty(queue[me]) -> interrupt[me] = 0 }
    od
}

/* Of the many. BREAK: party A. SLEEP: the releaser, A is `go` or the last slot. SPLIT: the one that arrives as A. */
proctype many(byte me; byte mine; byte other; byte place) {
#if CROSSING == BREAK
#ifdef NO_LIGHT
    if
    :: store(mine); load(place, other); load(place + 1, WORD)
    :: load(place + 1, WORD); store(mine); load(place, other)
    fi;
#else
    store(mine);
    load(place, other);
    light;
    load(place + 1, WORD);
#endif
#else
#ifdef NO_LIGHT
    if
    :: store(mine); load(place + 1, WORD)
    :: load(place + 1, WORD); store(mine)
    fi;
#else
    store(mine);
    light;
    load(place + 1, WORD);
#endif
#if CROSSING == SPLIT
#ifndef NO_SPLIT
    if :: seen[place + 1] -> mfence :: !seen[place + 1] fi;
#endif
    load(place, other);
#endif
#endif
    finished++
}

/* Of the few: the breaker, or the one about to sleep. */
proctype few(byte me) {
#ifdef LOOKS_FIRST
    load(4, A);
    load(5, B);
#endif
    locked_or(WORD);
    heavy();
#ifndef LOOKS_FIRST
    load(4, A);
    load(5, B);
#endif
    finished++
}

/* BREAK: the party B, which has come, and is asked by both. */
proctype comes(byte me; byte mine) {
    store(mine);
    finished++
}

init {
    byte i;
    atomic {
        run many(0, A, B, 0);
#if CROSSING == SPLIT
        run many(1, B, A, 2);
#elif CROSSING == BREAK
        run comes(1, B);
#else
        finished++;
#endif
        run few(2);
        for (i : 0 .. 2) { run drain(i); run handler(i) }
        i = 0
    }
    finished == 3;
#if CROSSING == BREAK
    /* A saw all and no alarm, which is an Ok; the breaker missed somebody, which is a verdict. */
    assert(!(seen[0] && !seen[1] && !(seen[4] && seen[5])))
#elif CROSSING == SLEEP
    /* The releaser saw no sleeper, and the parker not what it waits for. */
    assert(!(!seen[1] && !seen[4]))
#else
    /* The sleeper sleeps, and neither of the two saw a sleeper and all slots. */
    assert(!(!(seen[4] && seen[5]) && !(seen[1] && seen[0]) && !(seen[3] && seen[2])))
#endif
}
