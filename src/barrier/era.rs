//! One life of a barrier: from build, reset or a change of its members, to the break or the next change.
//!
//! All words that parties share on a trip belong to an era, and an era has the same parties all its life. After a break
//! nothing of it is used again: a reset makes a new one, so that whatever a late party still stores, it stores where
//! nobody counts any more (C5), and memory is freed when the last handle on it is gone (C9). Who joins or leaves makes a
//! new one as well, for the trips behind the open one; the parties move over, each when it has crossed the last trip of
//! the old one (`registry.rs`).

use crate::algo::seat::{Blueprint, Seat, Words};
use crate::barrier::explain::Explanation;
use crate::barrier::ledger::Account;
use crate::error::Broken;
use crate::fate::epoch::reached;
use crate::fate::luggage::{Kind, Luggage, Tag, Trunk};
use crate::fate::{Census, Ended, Fate, Ruling, Slots, is_beyond};
use crate::primitive::{AtomicU32, AtomicU64, Fences, Meter, Mutex, Ordering};
use crate::wait::{Door, Plan};
use crossbeam_utils::CachePadded;
use std::any::Any;
use std::sync::{Arc, OnceLock};

/// What an era is made from: who takes part, and what was chosen for them.
#[derive(Clone, Debug)]
pub(crate) struct Design {
    pub(crate) blueprint: Blueprint,
    /// The rank of each seat, ascending.
    pub(crate) ranks: Arc<[usize]>,
    pub(crate) plan: Plan,
    pub(crate) fences: Fences,
    pub(crate) explanation: Explanation,
}

impl Design {
    /// A design without measurements.
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    pub(crate) fn modelled(blueprint: Blueprint, ranks: Arc<[usize]>, plan: Plan, fences: Fences) -> Self {
        Self { blueprint, ranks, plan, fences, explanation: Explanation::of_a_model() }
    }
}

/// Where the parties of an era go that has ended by a change; decided with its last trip.
pub(crate) type Heir = Arc<OnceLock<Arc<Era>>>;

/// What a party sends to the root of a trip, and what the root sends back.
pub(crate) type Parcel = Box<dyn Any + Send>;

/// One seat's box, for what it sends and what it gets.
type Mailbox = CachePadded<Mutex<Option<Parcel>>>;

/// The words of one life of a barrier.
#[derive(Debug)]
pub(crate) struct Era {
    design: Design,
    door: Door,
    words: Words,
    fate: Fate,
    second: Second,
    first: u64,
    trunks: OnceLock<Box<[Trunk]>>,
    mail: OnceLock<Box<[Mailbox]>>,
    heir: OnceLock<Heir>,
    /// 1 once the first action may run (`action.rs`, `Handover`).
    opened: AtomicU32,
    /// Of which trip the break was reported last (`observe`): one more than its place in the era, or 0.
    noted: Meter,
    /// What it came to, as far as was known when it retired (`ledger.rs`).
    closed: OnceLock<Account>,
}

impl Era {
    /// An era whose first trip is `first`; `near` says whether to go and fetch memory near the parties.
    pub(crate) fn new(design: Design, first: u64, near: bool) -> Self {
        let words = Words::new(&design.blueprint, first, near);
        let door = Door::new(design.fences);
        let era = Self {
            design,
            door,
            words,
            fate: Fate::new(),
            second: Second::new(first),
            first,
            trunks: OnceLock::new(),
            mail: OnceLock::new(),
            heir: OnceLock::new(),
            opened: AtomicU32::new(0),
            noted: Meter::default(),
            closed: OnceLock::new(),
        };
        // A model's words are born where all its threads know of them.
        if cfg!(all(test, phalanx_loom)) {
            era.trunks();
            era.mail();
        }
        era
    }

    pub(crate) fn design(&self) -> &Design {
        &self.design
    }

    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    pub(crate) fn fate(&self) -> &Fate {
        &self.fate
    }

    pub(crate) fn words(&self) -> &Words {
        &self.words
    }

    pub(crate) fn second(&self) -> &Second {
        &self.second
    }

    pub(crate) fn parties(&self) -> usize {
        self.design.ranks.len()
    }

    /// The seat number of `rank`, if it takes part.
    pub(crate) fn index_of(&self, rank: usize) -> Option<usize> {
        self.design.ranks.binary_search(&rank).ok()
    }

    /// Whether somebody takes part both here and in the era `before`.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        before.design.ranks.iter().any(|&rank| self.index_of(rank).is_some())
    }

    /// Its first trip.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Whether the party at seat `index` has arrived at the first trip and gone to work, and so would not find out that the
    /// trip is held elsewhere.
    pub(crate) fn is_absent(&self, index: usize) -> bool {
        let arrived = self.words.slots().has_arrived(index, self.first);
        arrived && self.luggage(index).kind(self.first) == Some(Kind::ABSENT)
    }

    /// Arrives at the first trip on behalf of `rank`, which has done so in an era that this one supersedes. Never for the
    /// last one to arrive.
    pub(crate) fn arrive_for(&self, rank: usize) {
        if let Some(index) = self.index_of(rank) {
            self.luggage(index).label(Tag::after(Tag::default(), self.first, Kind::ABSENT));
            self.words.seat(index).arrive(self.first);
        }
    }

    /// The seat of `rank`; if it takes no part, the one for those who only listen.
    pub(crate) fn seat_of(&self, rank: usize) -> (usize, Seat) {
        self.index_of(rank).map_or((0, Seat::Over), |index| (index, self.words.seat(index)))
    }

    /// What the party at seat `index` brings along.
    #[inline(always)]
    pub(crate) fn luggage(&self, index: usize) -> &Luggage {
        self.words.slots().luggage(index)
    }

    /// Whether all parties brought this kind of thing to `generation`, which is complete.
    #[inline(always)]
    pub(crate) fn all_have(&self, kind: Kind, generation: u64) -> bool {
        match self.words.slots() {
            Slots::Pair(pair) => pair.luggage[0].has(kind, generation) & pair.luggage[1].has(kind, generation),
            slots => (0..self.parties()).all(|index| slots.luggage(index).has(kind, generation)),
        }
    }

    /// Whether somebody left with trip `generation`, which is complete.
    pub(crate) fn is_left(&self, generation: u64) -> bool {
        (0..self.parties()).any(|index| self.luggage(index).is_leaving(generation))
    }

    /// Room for larger things, for all seats; made when the first one asks.
    #[inline(always)]
    pub(crate) fn trunks(&self) -> &[Trunk] {
        self.trunks.get_or_init(|| (0..self.parties()).map(|_| Trunk::new(self.first)).collect())
    }

    /// Where seats leave what the root is to have, and find what it has for them; made when the first one asks.
    pub(crate) fn mail(&self) -> &[Mailbox] {
        self.mail.get_or_init(|| (0..self.parties()).map(|_| CachePadded::new(Mutex::new(None))).collect())
    }

    /// Breaks the open trip, unless it is held elsewhere or the era is broken already.
    pub(crate) fn break_open_trip(&self, describe: impl FnOnce(Census) -> Broken) -> Result<Broken, Ended> {
        let describe = |census| describe(self.named(census));
        self.fate.break_if(&self.door, self.words.slots(), |_| true, describe)
    }

    /// Breaks the open trip if somebody waits at it.
    pub(crate) fn break_trip_of_waiters(&self, describe: impl FnOnce(Census) -> Broken) -> Result<Broken, Ended> {
        let describe = |census| describe(self.named(census));
        self.fate.break_if(&self.door, self.words.slots(), |census| census.arrived > 0, describe)
    }

    /// Breaks trip `only`, unless it turns out to be complete.
    pub(crate) fn break_trip(&self, only: u64, describe: impl FnOnce(Census) -> Broken) -> Ruling {
        let describe = |census| describe(self.named(census));
        self.fate.break_trip(&self.door, self.words.slots(), only, describe)
    }

    /// Breaks trip `generation`, at which all have arrived, because what was to ride on it has failed. With `trunks`
    /// only if nobody has left it.
    pub(crate) fn break_complete(&self, generation: u64, trunks: &[Trunk], record: Broken) -> Result<Broken, Ended> {
        self.fate.break_complete(&self.door, generation, trunks, record)
    }

    /// Gives the verdict that was given elsewhere.
    pub(crate) fn condemn(&self, record: Broken) {
        self.fate.condemn(&self.door, record);
    }

    /// Lets this era end with its open trip; the first trip that is held elsewhere.
    pub(crate) fn turn(&self) -> Result<u64, Ended> {
        self.fate.turn(&self.door, self.words.slots())
    }

    /// Sends those who wait here, newcomers all, to another era.
    pub(crate) fn supersede(&self) {
        self.fate.supersede(&self.door, self.first);
    }

    /// Whether the first action may run. Relaxed, like the store: whoever stores has held the lock that orders the actions,
    /// and the trips between are in order.
    pub(crate) fn is_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed) != 0
    }

    /// Says that the first action may run.
    pub(crate) fn open(&self) {
        self.opened.store(1, Ordering::Relaxed);
    }

    /// Says where to go from here; the first answer stays.
    pub(crate) fn bequeath(&self, heir: &Heir) {
        let _ = self.heir.set(Arc::clone(heir));
    }

    /// Where to go from here, once it is decided.
    pub(crate) fn heir(&self) -> Option<Arc<Self>> {
        self.heir.get()?.get().cloned()
    }

    /// The first trip that is held elsewhere, if one is.
    pub(crate) fn turned(&self) -> Option<u64> {
        self.fate.turned()
    }

    /// Whether the caller is the first to take note of this break of one of its own trips: if it was broken with the era before,
    /// that is the same break. (One of a later trip, of which somebody has taken note, may have given way to it.)
    pub(crate) fn take_note(&self, broken: &Broken) -> bool {
        !is_beyond(self.first(), broken.generation())
            && self.noted.change(broken.generation().wrapping_sub(self.first()).wrapping_add(1))
    }

    /// What was put into the books for it, once it has retired.
    pub(super) fn closed(&self) -> Option<&Account> {
        self.closed.get()
    }

    /// Puts `account` into the books; the first one stays.
    pub(super) fn close(&self, account: Account) -> &Account {
        self.closed.get_or_init(|| account)
    }

    /// What everybody is told, if the era is broken.
    pub(crate) fn verdict(&self) -> Option<Broken> {
        self.fate.verdict()
    }

    /// Whether the era is broken, without waiting for a decision under way; to be asked of the present one, since the alarm of
    /// an era that was superseded looks the same.
    pub(crate) fn is_broken(&self) -> bool {
        self.door.is_broken()
    }

    /// Who has arrived where, as a snapshot.
    pub(crate) fn census(&self) -> Census {
        self.named(self.words.slots().census())
    }

    /// Whether all trips before `turn` are complete. Once true it stays true.
    pub(crate) fn has_reached(&self, turn: u64) -> bool {
        !is_beyond(turn, self.words.slots().census().generation)
    }

    /// Wakes every sleeper for no reason.
    pub(crate) fn wake_spuriously(&self) {
        self.door.wake_spuriously();
    }

    /// The census by ranks instead of seats.
    fn named(&self, census: Census) -> Census {
        let missing = census.missing.iter().map(|&index| self.design.ranks[index]).collect();
        Census { missing, ..census }
    }
}

/// The second half of a trip on which one party does something for all, where the algorithm itself has no root: the
/// first to learn that all have arrived takes the part, and the others wait for it.
///
/// | word | writers | meaning |
/// |---|---|---|
/// | `claim` | the first of each such trip, by CAS | `g + 1`: the part is taken for trip g |
/// | `go` | who has the part | `g + 1`: it is done, and all may go; an epoch (`fate/epoch.rs`) |
#[derive(Debug)]
pub(crate) struct Second {
    claim: CachePadded<AtomicU64>,
    pub(crate) go: CachePadded<AtomicU64>,
}

impl Second {
    fn new(first: u64) -> Self {
        Self { claim: CachePadded::new(AtomicU64::new(first)), go: CachePadded::new(AtomicU64::new(first)) }
    }

    /// Whether the part for `generation` is done.
    pub(crate) fn is_done(&self, generation: u64) -> bool {
        reached(&self.go, generation)
    }

    /// Whether the caller, who knows that all have arrived at `generation`, has the part.
    pub(crate) fn elect(&self, generation: u64) -> bool {
        // Relaxed: the trip has brought everything that the part needs, and `go` carries on what comes of it.
        let last = self.claim.load(Ordering::Relaxed);
        let next = generation.wrapping_add(1);
        !is_beyond(last, generation)
            && self.claim.compare_exchange(last, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::barrier::Barrier;
    use crate::fate::epoch::publish;

    /// An era of these, which begins with trip 7.
    fn era_of(ranks: &[usize]) -> Era {
        let design = Barrier::new(ranks.len()).unwrap().control().era().design().clone();
        Era::new(Design { ranks: ranks.into(), ..design }, 7, false)
    }

    #[test]
    fn an_era_continues_another_if_somebody_takes_part_in_both() {
        let (before, changed, newcomers) = (era_of(&[0, 1, 2]), era_of(&[2, 3]), era_of(&[3, 4]));
        assert!(changed.continues(&before) && newcomers.continues(&changed));
        assert!(!newcomers.continues(&before) && !before.continues(&newcomers));
    }

    #[test]
    fn an_era_knows_what_all_have_brought_and_who_has_left() {
        for parties in [2, 3] {
            let era = era_of(&Vec::from_iter(0..parties));
            let label = |index: usize, kind| era.luggage(index).label(Tag::after(Tag::default(), 7, kind));
            let standing = || (era.all_have(Kind(5), 7), era.is_left(7));
            (1..parties).for_each(|index| label(index, Kind(5)));
            assert_eq!(standing(), (false, false));
            label(0, Kind(5));
            assert_eq!(standing(), (true, false));
            assert_eq!((era.all_have(Kind(5), 8), era.all_have(Kind(6), 7)), (false, false));
            label(1, Kind::LEAVING);
            assert_eq!((standing(), era.is_left(8)), ((false, true), false));
        }
    }

    #[test]
    fn an_era_is_opened_once() {
        let era = era_of(&[0]);
        assert!(!era.is_opened());
        era.open();
        assert!(era.is_opened());
    }

    #[test]
    fn the_part_of_one_is_given_once_per_trip_and_done_when_it_says_so() {
        let second = Second::new(7);
        assert!(second.elect(7) && !second.elect(7) && !second.is_done(7));
        publish(&second.go, 7);
        assert!(second.is_done(7) && !second.is_done(8));
        assert!(second.elect(8) && !second.elect(7));
    }
}
