/*
 * How a trip is decided (src/fate/README.md), as a model for spin: arrivals, breaks, resets, joins, leaves and sleeps of
 * N parties and one outsider, every interleaving of them.
 *
 * One step here is one access to a word of the code that others write or read, or one section under a lock that touches
 * nothing but what the lock guards. Steps are in program order and seen by all at once: the orderings and the fences are
 * not the business of this model but of tso.pml, arm.pml and the loom models; `heavy` and `light` mark where they stand.
 *
 * What is asked of it, in every state:
 *   C1  who gets Ok for a trip finds that all members of its era have come to that very trip. (C5 with it: `come` is
 *       written by the party's own step, trips are numbered through all eras, so an old arrival is none for a later trip.)
 *   C2  no two parties get different answers for a trip: both Ok, or both Err of the same break (`outcome`).
 *   C7  at most one Ok of a trip leads; exactly one if all its members got Ok.
 *   C3  nobody waits or sleeps for ever: the only states in which nothing can go on are those in which all have finished or
 *       have been told of a break that nobody resets. (spin: invalid end state)
 *
 * Sizes (-D): N parties, TRIPS in all, IMPATIENT, PARKERS, LEAVERS, JOINERS (masks of ranks: give up once; may sleep; may
 * leave; are no members at first, and join), TURNS (how many ranks leave or join), ABORTS and RESETS of the outsider, in
 * any order; CENTRAL: a counter and a go flag (src/algo/central.rs) instead of everybody's slots (src/algo/exchange.rs).
 * Joiners neither leave nor give up, and nobody drops its handle: no era is broken before it is present but by `condemn`.
 * Planted bugs: -DBUG_name, see .ci/spin.
 */
#ifndef N
#define N 3
#endif
#ifndef TRIPS
#define TRIPS 2
#endif
#ifndef IMPATIENT
#define IMPATIENT 0
#endif
#ifndef PARKERS
#define PARKERS 0
#endif
#ifndef LEAVERS
#define LEAVERS 0
#endif
#ifndef ABORTS
#define ABORTS 0
#endif
#ifndef RESETS
#define RESETS 0
#endif

#ifndef JOINERS
#define JOINERS 0
#endif
#ifndef TURNS
#define TURNS 0
#endif
#define ERAS (1 + RESETS + TURNS)
#define NONE 15
#define EVERYBODY ((1 << N) - 1)
#define ME (1 << r)

/* The attention word (src/wait/mod.rs). The wake count is not here: `fresh` says who has seen the word since the last wake. */
#define PARKED(trip) (1 << ((trip) & 1))
#define ANY_PARKED 3
#define BREAKING 4
#define BROKEN 8
#define ALARM (BREAKING | BROKEN)
#define TURNING 16

byte word[ERAS];
byte slot[ERAS * N];         /* the trip that a party arrives at next, in this era */
byte members[ERAS];
byte count[ERAS], go[ERAS];  /* CENTRAL */
bit  locked[ERAS];           /* the end's lock, and what it guards: */
byte verdict[ERAS];          /* 0, or one more than the trip that is broken */
byte cause[ERAS];            /* who broke it */
byte turn[ERAS];             /* 0, or the first trip that is held elsewhere */
byte heir[ERAS];
byte fresh[ERAS];            /* who has announced that it sleeps, and nobody has woken since */
byte asleep[ERAS];
bit  registry;               /* the registry's lock, and what it guards: */
byte present = 0, next = NONE, made = 1, claims = EVERYBODY & ~JOINERS;
byte behind[ERAS];           /* of an era that is the next one: those whose heir it is to be */

/* For the properties alone. */
byte come[N];                /* one more than the last trip that a party came to */
byte outcome[TRIPS + 2];     /* 0, 1: Ok, or 2 + the cause of the break */
byte oks[TRIPS + 2];
bit  led[TRIPS + 2];


#define S(e, i) slot[(e) * N + (i)]
#define IN(e, i) (members[e] & (1 << (i)))
#define AT(e, i, trip) (!IN(e, i) || S(e, i) > (trip))
#define CAME(e, i, trip) (!IN(e, i) || come[i] > (trip))
#if N == 2
#define EACH(what, e, trip) (what(e, 0, trip) && what(e, 1, trip))
#define SIZE(mask) (((mask) & 1) + (((mask) >> 1) & 1))
#elif N == 3
#define EACH(what, e, trip) (what(e, 0, trip) && what(e, 1, trip) && what(e, 2, trip))
#define SIZE(mask) (((mask) & 1) + (((mask) >> 1) & 1) + (((mask) >> 2) & 1))
#else
#define EACH(what, e, trip) (what(e, 0, trip) && what(e, 1, trip) && what(e, 2, trip) && what(e, 3, trip))
#define SIZE(mask) (((mask) & 1) + (((mask) >> 1) & 1) + (((mask) >> 2) & 1) + (((mask) >> 3) & 1))
#endif
/* Slots only grow, so that one look at all is as good as one after the other (`all_reached`, `Muster`). */
#define ALL_HERE(e, trip) EACH(AT, e, trip)
#ifdef CENTRAL
#define READY(e, trip) (go[e] > (trip))
#else
#define READY(e, trip) ALL_HERE(e, trip)
#endif

/* What the end's lock says of a trip (`End::ruling`). */
#define NOT_BROKEN 0
#define OVER 1
#define LAST 2
#define ELSEWHERE 3
#define IS_BROKEN 4

inline rule(e, trip) {
    if
    :: verdict[e] != 0 && verdict[e] <= (trip) + 1 -> ruling = IS_BROKEN
#ifdef BUG_NONE_IS_OVER
    :: verdict[e] > (trip) + 1 -> ruling = IS_BROKEN
#else
    :: verdict[e] > (trip) + 1 -> ruling = OVER
#endif
    :: verdict[e] == 0 && turn[e] == (trip) + 1 -> ruling = LAST
    :: verdict[e] == 0 && turn[e] != 0 && turn[e] <= (trip) -> ruling = ELSEWHERE
    :: else -> ruling = NOT_BROKEN
    fi
}

inline lock_end(e) { atomic { locked[e] == 0 -> locked[e] = 1 } }

inline look_at(e, i) {
    d_step {
        if
        :: IN(e, i) ->
            if :: lowest > S(e, i) -> lowest = S(e, i) :: else fi;
            if :: highest < S(e, i) -> highest = S(e, i) :: else fi
        :: else
        fi
    }
}

/* `Slots::census`: one slot after the other. */
inline census(e) {
    d_step { lowest = NONE; highest = 0 }
    look_at(e, 0);
    look_at(e, 1);
#if N > 2 && !(defined(BUG_FORGETS_A_SLOT) && N == 3)
    look_at(e, 2);
#endif
#if N > 3 && !defined(BUG_FORGETS_A_SLOT)
    look_at(e, 3);
#endif
}

inline raise_alarm(e) { word[e] = word[e] | BREAKING /* heavy */ }

/* `Door::wake`: the CAS that clears the bits and steps the count, then the call. */
inline wake(e, which) {
    if
    :: atomic { (word[e] & (which)) != 0 -> word[e] = word[e] & ~(which); fresh[e] = 0 }
        asleep[e] = 0
    :: atomic { (word[e] & (which)) == 0 -> skip }
    fi
}

/* `Fate::pronounce`. */
inline pronounce(e, who) {
#if !defined(BUG_LOWERS_WITHOUT_VERDICT) && !defined(BUG_SETTLES_WITHOUT_VERDICT)
    d_step { verdict[e] = lowest + 1; cause[e] = who } /* guarded by the lock, so not a step that others see */
#endif
#ifdef BUG_LOWERS_EARLY
    word[e] = word[e] & ~BREAKING;
    word[e] = word[e] | BROKEN;
#elif defined(BUG_LOWERS_WITHOUT_VERDICT)
    word[e] = word[e] & ~BREAKING;
#else
    word[e] = word[e] | BROKEN;
    word[e] = word[e] & ~BREAKING;
#endif
#ifndef BUG_BREAK_WAKES_NOBODY
    wake(e, ANY_PARKED);
#endif
}

/* `Fate::break_if`: the open trip, if it is `such`. Leaves the lock held; `settled` says whether there is a verdict. `only` is
 * what the breaker takes for the open trip, for a planted bug. */
inline break_if(e, such, who, only) {
    lock_end(e);
    if
#ifndef BUG_VERDICT_IS_NOT_FINAL
    :: verdict[e] != 0 -> settled = 1
#endif
    :: else ->
#ifdef BUG_CENSUS_BEFORE_ALARM
        census(e);
        raise_alarm(e);
#else
        raise_alarm(e);
        census(e);
#endif
        if
#ifdef BUG_ASKS_NO_SLOTS
        :: false
        :: else ->
            lowest = only;
#else
        :: (turn[e] != 0 && lowest >= turn[e]) || !(such) ->
            word[e] = word[e] & ~BREAKING;
            settled = 0
        :: else ->
#endif
            pronounce(e, who);
            settled = 1
        fi
    fi;
    d_step { highest = 0 }
}

/* `Next::settle`: those who wait for the next era have it for an heir. */
inline settle_next() {
    heir[0] = ((behind[next] & 1) -> next : heir[0]);
#if RESETS + TURNS > 0
    heir[1] = ((behind[next] & 2) -> next : heir[1]);
#endif
#if RESETS + TURNS > 1
    heir[2] = ((behind[next] & 4) -> next : heir[2]);
#endif
#if RESETS + TURNS > 2
    heir[3] = ((behind[next] & 8) -> next : heir[3]);
#endif
#if RESETS + TURNS > 3
    heir[4] = ((behind[next] & 16) -> next : heir[4]);
#endif
    behind[next] = 0
}

/* `Registry::advance`, under its lock. */
inline advance() {
    if
    :: next != NONE && (members[next] & members[present]) != 0 ->
        if
        :: atomic { locked[present] == 0 && verdict[present] != 0 -> skip }
#ifndef BUG_NEWCOMERS_ARE_NOT_TOLD
            lock_end(next); /* `Fate::condemn` */
            d_step { verdict[next] = verdict[present]; cause[next] = cause[present] }
            word[next] = word[next] | BROKEN;
            word[next] = word[next] & ~BREAKING;
            wake(next, ANY_PARKED);
            locked[next] = 0;
#endif
            atomic { settle_next(); next = NONE }
        :: atomic { locked[present] == 0 && verdict[present] == 0 -> skip }
            atomic {
                if
                :: ALL_HERE(present, turn[present] - 1) -> settle_next(); present = next; next = NONE
                :: else
                fi
            }
        fi
    :: next != NONE && (members[next] & members[present]) == 0 ->
        atomic { settle_next(); present = next; next = NONE } /* newcomers alone */
    :: next == NONE
    fi
}

/* `Registry::change`, under its lock: `settled` says whether the present era is turned. `spare` is lent. */
inline change(spare) {
    do
    :: lock_end(present);
        if
        :: verdict[present] != 0 ->
            locked[present] = 0;
            atomic { spare = present }
            advance();
            if :: spare == present -> settled = 0; break :: else fi
        :: else ->
#ifdef BUG_TURNS_BEHIND_THE_CENSUS
            census(present);
            word[present] = word[present] | TURNING; /* heavy */
#else
            word[present] = word[present] | TURNING; /* heavy */
            census(present);
#endif
            if
            :: turn[present] != 0 && lowest >= turn[present] ->
                locked[present] = 0;
                if
                :: next == NONE -> settled = 0; break
                :: else -> advance()
                fi
            :: else ->
                atomic {
                    turn[present] = lowest + 1;
                    locked[present] = 0;
                    spare = next;
                    if /* `replace_next` */
                    :: claims != 0 ->
                        assert(made < ERAS);
                        d_step {
                            new_era(made, lowest + 1);
                            behind[made] = 1 << present;
                            if :: spare != NONE -> behind[made] = behind[made] | behind[spare] | (1 << spare); behind[spare] = 0 :: else fi;
                            next = made;
                            made++
                        }
                    :: else -> next = NONE
                    fi
                }
#ifndef BUG_SUPERSEDED_ARE_NOT_SENT_ON
                if
                :: spare != NONE -> /* `Fate::supersede` */
                    lock_end(spare);
                    turn[spare] = S(spare, 0);
                    word[spare] = word[spare] | BREAKING; /* heavy */
                    word[spare] = word[spare] | BROKEN;
                    word[spare] = word[spare] & ~BREAKING;
                    wake(spare, ANY_PARKED);
                    locked[spare] = 0
                :: else
                fi;
#endif
                settled = 1;
                break
            fi
        fi
    od;
    atomic { lowest = 0; highest = 0; spare = 0 }
}

/* Fresh words for era e, for whoever is a member now, from trip `first` on. */
inline new_era(e, first) {
    members[e] = claims;
    S(e, 0) = first;
    S(e, 1) = first;
#if N > 2
    S(e, 2) = first;
#endif
#if N > 3
    S(e, 3) = first;
#endif
    go[e] = first
}

/* Step 1, the arrival. */
inline arrive() {
    atomic { S(era, r) = trip + 1; come[r] = trip + 1 }
#ifdef CENTRAL
    atomic { count[era]++; root = (count[era] == SIZE(members[era])) }
#endif
}

#ifdef CENTRAL
inline release() {
    count[era] = 0;
    go[era] = trip + 1
}
#else
#define release() skip
#endif

/* `Member::follow`. */
inline follow(e) { d_step { era = e; trip = S(era, r); over = 0 } }

/* How a wait ended. */
#define SEEN 1
#define STOPPED 2
#define EXPIRED 3

proctype party(byte r) {
    byte era = 0, trip = 0, seen = 0, ruling = 0, look = 0, kept = 0, lowest = 0, highest = 0;
    bit over = 0, root = 0, settled = 0, patient = !((IMPATIENT >> r) & 1);

    if
    :: (JOINERS >> r) & 1 ->
        atomic { !registry -> registry = 1 }
        if :: claims == 0 -> registry = 0; goto finished :: else fi;
        advance();
        claims = claims | ME;
        change(kept);
        atomic { /* `Registry::home_of`, `Member::enter` */
            registry = 0;
            if
            :: next != NONE && IN(next, r) -> follow(next)
            :: else -> era = present
            fi
        }
        settled = 0;
        if
        :: !IN(era, r) -> goto end_told
        :: else
        fi
    :: else
    fi;

next_trip:
    if
    :: trip >= TRIPS -> goto finished
    :: trip < TRIPS && ((LEAVERS >> r) & 1) -> goto leaves
    :: trip < TRIPS
    fi;
#ifdef BUG_ARRIVES_AGAIN
    over = 0;
#endif
    if
    :: over -> seen = STOPPED; goto decide /* `Seat::Over` */
    :: !over
    fi;
    arrive();

waits:
    if
    :: root -> release(); seen = SEEN
    :: !root && READY(era, trip) -> seen = SEEN
    :: !root && (word[era] & ALARM) -> seen = STOPPED
    :: !root && !patient -> patient = 1; seen = EXPIRED
    :: !root && ((PARKERS >> r) & 1) -> goto parks
    fi;

decide:
    if
    :: seen == SEEN ->
        /* light */
#ifdef BUG_DOES_NOT_LOOK
        look = word[era] & ANY_PARKED;
#elif defined(BUG_IGNORES_TURNING)
        look = word[era] & ~TURNING;
#else
        look = word[era];
#endif
        if
        :: look == 0 -> goto ok
        :: else
        fi;
#ifdef BUG_WAKES_THE_OTHERS
        wake(era, PARKED(trip + 1));
#elif !defined(BUG_TRIP_WAKES_NOBODY)
        wake(era, PARKED(trip));
#endif
        if
        :: (look & (ALARM | TURNING)) == 0 -> look = 0; goto ok
        :: else -> look = 0
        fi
    :: seen == STOPPED
    :: seen == EXPIRED ->
        break_if(era, lowest <= trip, r, trip);
        atomic {
            locked[era] = 0; /* ... and take it again for the ruling: `break_trip` */
            lowest = 0
        }
#ifdef BUG_LOWERS_WITHOUT_VERDICT
        if :: settled -> settled = 0; goto told :: else fi;
#endif
        if
        :: !settled -> ruling = NOT_BROKEN; goto ruled
        :: settled -> settled = 0
        fi
    fi;
#ifdef BUG_DOES_NOT_WAIT_FOR_THE_VERDICT
    d_step { rule(era, trip) }
#else
    atomic { locked[era] == 0 -> d_step { rule(era, trip) } }
#endif

ruled:
    if
    :: ruling == IS_BROKEN -> goto err
    :: ruling == ELSEWHERE -> ruling = 0; goto moves
    :: ruling == OVER -> over = 1; goto ok
    :: (ruling == LAST || ruling == NOT_BROKEN) && seen == SEEN -> goto ok
    :: else -> ruling = 0; seen = 0; goto waits
    fi;

parks: /* src/wait/long_wait.rs, `park`, numbers as there */
    atomic { word[era] = word[era] | PARKED(trip); kept = word[era]; fresh[era] = fresh[era] | ME } /* (1), heavy (2) */
#ifndef BUG_PARKS_WITHOUT_LOOK
    if
    :: atomic { READY(era, trip) -> fresh[era] = fresh[era] & ~ME; kept = 0; seen = SEEN; goto decide } /* (3) */
    :: atomic { !READY(era, trip) -> skip }
    fi;
#endif
#ifndef BUG_PARKS_UNALARMED
    if
    :: atomic { (word[era] & ALARM) -> fresh[era] = fresh[era] & ~ME; kept = 0; seen = STOPPED; goto decide }
    :: atomic { !(word[era] & ALARM) -> skip }
    fi;
#endif
    if /* (4) */
#ifdef BUG_SLEEPS_ANYHOW
    :: atomic { true -> asleep[era] = asleep[era] | ME; fresh[era] = fresh[era] & ~ME; kept = 0 }
#else
    :: atomic { word[era] == kept && (fresh[era] & ME) -> asleep[era] = asleep[era] | ME; fresh[era] = fresh[era] & ~ME; kept = 0 }
    :: atomic { !(word[era] == kept && (fresh[era] & ME)) -> fresh[era] = fresh[era] & ~ME; kept = 0; goto waits }
#endif
    fi;
    if
    :: !(asleep[era] & ME)
    :: atomic { (asleep[era] & ME) && !patient -> asleep[era] = asleep[era] & ~ME; patient = 1 }
        if
        :: READY(era, trip) -> seen = SEEN
        :: word[era] & ALARM -> seen = STOPPED
        :: seen = EXPIRED
        fi;
        goto decide
    fi;
    goto waits;

ok:
    atomic {
        assert(EACH(CAME, era, trip));                            /* C1, C5 */
        assert(outcome[trip] == 0 || outcome[trip] == 1);         /* C2 */
        outcome[trip] = 1;
        oks[trip]++;
#ifdef CENTRAL
        assert(!(root && led[trip]));                             /* C7 */
        if :: root -> led[trip] = 1 :: else fi;
#else
        if :: (members[era] & (ME - 1)) == 0 -> assert(!led[trip]); led[trip] = 1 :: else fi;
#endif
        assert(LEAVERS || oks[trip] < SIZE(members[era]) || led[trip]);
        root = 0;
        seen = 0;
        look = 0
    }
    trip++;
    if
    :: ruling == LAST -> ruling = 0
    :: else -> ruling = 0; goto next_trip
    fi;

moves: /* `Control::move_on` */
    atomic { !registry -> registry = 1 }
    advance();
    atomic {
        if
        :: heir[era] != NONE -> follow(heir[era])
        :: heir[era] == NONE && next != NONE && IN(next, r) -> follow(next)
        :: else -> follow(present)
        fi;
        registry = 0
    }
    goto next_trip;

err:
    atomic {
        assert(outcome[trip] == 0 || outcome[trip] == 2 + cause[era]); /* C2 */
        outcome[trip] = 2 + cause[era];
        root = 0;
        seen = 0;
        ruling = 0;
        over = 1
    }
#ifdef BUG_LOWERS_WITHOUT_VERDICT
    goto resigned;
told:
    atomic {
        assert(outcome[trip] == 0 || outcome[trip] == 2 + r);
        outcome[trip] = 2 + r;
        over = 1
    }
resigned:
#endif
#ifdef BUG_ARRIVES_AGAIN
    if
    :: trip + 1 < TRIPS -> skip
    :: else
    fi;
#endif
#ifdef BUG_RESET_IN_PLACE
end_told:
    atomic { verdict[era] == 0 && !registry -> follow(era); trip = go[era] }
#else
end_told: /* each wait of a told party tells it the same, until there is a reset: `Control::settle` */
    atomic { present != era && IN(present, r) && !registry -> follow(present) }
#endif
    goto next_trip;

leaves: /* `Control::leave`, then `Member::arrive_and_go` */
#ifdef BUG_LEAVER_ARRIVES_FIRST
    if :: !over -> arrive() :: over fi;
#endif
    atomic { !registry -> registry = 1 }
    advance();
    if
    :: present != era && next != era -> follow(present) /* it was told, or had not come yet, and there was a reset */
    :: else
    fi;
    claims = claims & ~ME;
    change(kept);
    settled = (settled && present == era);
    registry = 0;
    if
    :: !settled -> goto finished
    :: settled -> settled = 0
    fi;
#ifndef BUG_LEAVER_ARRIVES_FIRST
    arrive();
#endif
    look = word[era]; /* light */
#ifdef CENTRAL
    if
    :: !root -> goto finished
    :: root
    fi;
    if
    :: look & (ALARM | TURNING) ->
        atomic { locked[era] == 0 -> d_step { rule(era, trip) } }
        if :: ruling == IS_BROKEN -> goto finished :: else -> ruling = 0 fi
    :: else
    fi;
    release();
#else
    if
    :: look == 0 || !READY(era, trip) -> goto finished /* split */
    :: else
    fi;
#endif
#ifndef BUG_LEAVER_WAKES_NOBODY
    wake(era, PARKED(trip));
#endif

finished:
    atomic { era = 0; trip = 0; over = 0; root = 0; look = 0; seen = 0; ruling = 0; settled = 0; patient = 0 }
}

/* Who aborts and resets, in any order, when it likes. */
#define OUTSIDER 8
#define RESET 9

proctype outsider() {
    byte lowest = 0, highest = 0, aborts = ABORTS, resets = RESETS;
    bit settled = 0;

    do
    :: aborts > 0 -> aborts--;
        atomic { !registry -> registry = 1 }
        do /* `Registry::break_open_trip` */
        :: advance();
            break_if(present, true, OUTSIDER + aborts + aborts, lowest);
            atomic {
                locked[present] = 0;
                lowest = 0;
                if :: settled || next == NONE -> break :: else fi
            }
        od;
        settled = 0;
        advance();
        registry = 0
    :: resets > 0 -> resets--;
        atomic { !registry -> registry = 1 }
        do /* `Control::renew` */
        :: advance();
            break_if(present, highest > lowest, RESET + resets + resets, lowest);
            if
            :: settled ->
                locked[present] = 0;
                advance(); /* `Registry::renew` */
                atomic {
#ifdef BUG_RESET_IN_PLACE
                    lowest = verdict[present];
                    d_step { verdict[present] = 0; cause[present] = 0; word[present] = word[present] & ANY_PARKED; go[present] = lowest };
#else
                    assert(made < ERAS);
                    lowest = verdict[present];
#ifdef BUG_RESET_NUMBERS_AGAIN
                    lowest = lowest - 1;
#endif
                    d_step { new_era(made, lowest) };
#ifdef BUG_RESET_KEEPS_THE_COUNT
                    count[made] = count[present];
#endif
                    present = made;
                    made++;
#endif
                    break
                }
            :: !settled && next != NONE && lowest == turn[present] -> locked[present] = 0
            :: else -> locked[present] = 0; break
            fi
        od;
        atomic { settled = 0; lowest = 0 }
        registry = 0
    :: aborts == 0 && resets == 0 -> break
    od
}

init {
    byte i;
    atomic {
        d_step {
            for (i : 0 .. ERAS - 1) { heir[i] = NONE }
            i = 0;
            new_era(0, 0)
        }
        run party(0);
        run party(1);
#if N > 2
        run party(2);
#endif
#if N > 3
        run party(3);
#endif
        if :: ABORTS + RESETS > 0 -> run outsider() :: else fi
    }
}
