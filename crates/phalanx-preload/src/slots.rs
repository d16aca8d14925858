//! A place for each barrier that is observed and alive: who waits at it, and what its waits have come to.
//!
//! The barrier's note has the slot's number. Slots are taken and given back without a lock (a fork may happen at any moment), in a
//! table of fixed size that costs no memory until it is used; what a program has beyond it is not observed.
//!
//! A slot is given back by whoever destroys the barrier, once nobody is inside: a caller counts itself in before it arrives and out
//! behind its last note ([`Member::inside`]), so all who crossed the barrier are known here when the last of them has returned.
//!
//! A thread keeps its place for as long as it lives. Where no place is free, those of threads that have ended are given free, so that
//! the threads of today are known by name, however many there were before.

use crate::lines::Line;
use crate::observe::now;
use crate::say::Undisturbed;
use crate::threads::{Name, has_ended, number};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// So many barriers are observed at the same time.
pub(crate) const SLOTS: usize = 2048;

/// The note of a barrier that other processes wait at as well: their tables are not this one, so slots are found by the address.
pub(crate) const SHARED: u32 = 1;

/// The note of the first slot.
const FIRST: u32 = 2;

/// The bits of an address within a page of the smallest size that there is, and the most members of a slot.
const PAGE: usize = 4095;

/// Nanoseconds between two looks for places of the ended, for each of the members: thirty to sixty times what the look at one takes.
const PAUSE: u64 = 10_000;

/// Nanoseconds after which a look that has not ended is taken for one that never will: begun by a signal's handler that left by a jump, or
/// in the parent of a child that was made past `pthread_atfork`.
const ABANDONED: u64 = 1_000_000_000;

/// So many barriers that are shared with other processes are observed.
pub(crate) const MOST_SHARED: usize = 64;

static TABLE: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];

/// Slots that have ever been taken.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// The first slot that was given back: its number + 1 below, and above how often that has changed, so that no exchange succeeds by
/// a number that has come back.
static FREE: AtomicU64 = AtomicU64::new(0);

/// Barriers for which there was no slot.
pub(crate) static UNSEEN: AtomicU64 = AtomicU64::new(0);

/// Numbers + 1 of the slots of shared barriers.
static SHARED_SLOTS: [AtomicU32; MOST_SHARED] = [const { AtomicU32::new(0) }; MOST_SHARED];

/// A barrier that is observed. Trips write to the members alone.
#[repr(align(128))]
pub(crate) struct Slot {
    /// The barrier; 0: none.
    pub(crate) address: AtomicUsize,
    pub(crate) parties: AtomicU32,
    pub(crate) shared: AtomicBool,
    /// Where its sums go in the end.
    pub(crate) line: AtomicPtr<Line>,
    /// The address of the members' pages, with their number below it; 0: none.
    room: AtomicUsize,
    next: AtomicU32,
    /// Whether anybody has had a place. While nobody has, the members need not be looked at.
    used: AtomicBool,
    /// Somebody gives places of the ended free.
    sweeping: AtomicBool,
    /// When that was last begun, in nanoseconds; 0: never, so no place of today's was somebody else's before.
    swept: AtomicU64,
    /// Somebody's place was given free.
    pub(crate) forgotten: AtomicBool,
    /// When its first caller came, in nanoseconds, and with which batch; 0: nobody has.
    pub(crate) first: AtomicU64,
    pub(crate) first_batch: AtomicU64,
    /// The watchdog's: see there.
    pub(crate) reports: AtomicU64,
}

/// A thread that has waited at a barrier; written by that thread, but for the one that stands for all who found no place, and by
/// whoever gives its place free when it has ended.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Member {
    /// The thread; 0: nobody, or everybody else.
    pub(crate) thread: AtomicU32,
    /// How many are inside; of one thread more than one if a signal's handler waits as well.
    pub(crate) inside: AtomicU32,
    pub(crate) name: Name,
    /// The last batch that it crossed the barrier with, + 1.
    pub(crate) batch: AtomicU64,
    /// When that was over for it, in nanoseconds.
    pub(crate) left: AtomicU64,
    pub(crate) sums: Sums,
}

/// What the waits of somebody have come to.
#[derive(Debug)]
pub(crate) struct Sums {
    pub(crate) waits: AtomicU64,
    /// Of them as the last of a batch.
    pub(crate) lasts: AtomicU64,
    pub(crate) waited: AtomicU64,
    pub(crate) slowest: AtomicU64,
    pub(crate) spins: AtomicU64,
    pub(crate) yields: AtomicU64,
    pub(crate) parks: AtomicU64,
}

impl Sums {
    pub(crate) const fn new() -> Self {
        Self {
            waits: AtomicU64::new(0),
            lasts: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            slowest: AtomicU64::new(0),
            spins: AtomicU64::new(0),
            yields: AtomicU64::new(0),
            parks: AtomicU64::new(0),
        }
    }

    fn all(&self) -> [&AtomicU64; 6] {
        [&self.waits, &self.lasts, &self.waited, &self.spins, &self.yields, &self.parks]
    }

    /// Moves them into `to`. What is added meanwhile is in one of the two.
    pub(crate) fn move_to(&self, to: &Self) {
        // Relaxed, here and wherever sums are written: nothing is ordered by them.
        for (from, to) in self.all().into_iter().zip(to.all()) {
            to.fetch_add(from.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        to.slowest.fetch_max(self.slowest.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(crate) fn clear(&self) {
        self.all().into_iter().chain([&self.slowest]).for_each(|sum| sum.store(0, Ordering::Relaxed));
    }
}

impl Slot {
    pub(crate) const fn new() -> Self {
        Self {
            address: AtomicUsize::new(0),
            parties: AtomicU32::new(0),
            shared: AtomicBool::new(false),
            line: AtomicPtr::new(std::ptr::null_mut()),
            room: AtomicUsize::new(0),
            next: AtomicU32::new(0),
            used: AtomicBool::new(false),
            sweeping: AtomicBool::new(false),
            swept: AtomicU64::new(0),
            forgotten: AtomicBool::new(false),
            first: AtomicU64::new(0),
            first_batch: AtomicU64::new(0),
            reports: AtomicU64::new(0),
        }
    }

    /// Those who have waited here; the one at the end stands for all who found no place.
    pub(crate) fn members(&self) -> &[Member] {
        // Relaxed: whoever looks for a caller has met it at the barrier.
        if self.used.load(Ordering::Relaxed) { self.places() } else { &[] }
    }

    /// The members, whether or not somebody has ever been one.
    fn places(&self) -> &[Member] {
        let room = self.room.load(Ordering::Acquire);
        if room == 0 {
            return &[];
        }
        let (pages, members) = (room & !PAGE, room & PAGE);
        // SAFETY: what `make_room` has mapped, for so many members, and nobody unmaps. Zeros are a member that is nobody.
        unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(pages), members) }
    }

    /// The members of a barrier at which tests say who was.
    #[cfg(test)]
    pub(crate) fn crowd(&self) -> &[Member] {
        self.used.store(true, Ordering::Relaxed);
        self.places()
    }

    /// The calling thread's place.
    pub(crate) fn member(&self) -> Option<&Member> {
        let (last, members) = self.places().split_last()?;
        let me = number();
        for member in round(members, me) {
            // Acquire: pairs with `give_free`; who meets a place that was given free knows that there are such.
            match member.thread.load(Ordering::Acquire) {
                thread if thread == me => return Some(member),
                // Behind one that has always been free this thread has no place, since it would have taken this one.
                0 if self.swept.load(Ordering::Relaxed) == 0 && self.take_place(member, me) => return Some(member),
                _ => {}
            }
        }
        Some(self.newcomer(members, me).unwrap_or(last))
    }

    /// A place for a thread that has none yet, if there is one.
    #[cold]
    #[inline(never)]
    fn newcomer<'s>(&self, members: &'s [Member], me: u32) -> Option<&'s Member> {
        let free = || {
            let mut free = round(members, me).filter(|member| member.thread.load(Ordering::Relaxed) == 0);
            free.find(|member| self.take_place(member, me))
        };
        free().or_else(|| {
            self.reclaim(members, self.swept.load(Ordering::Relaxed), now());
            free()
        })
    }

    fn take_place(&self, member: &Member, me: u32) -> bool {
        self.used.store(true, Ordering::Relaxed);
        // Acquire: pairs with `give_free`; whoever had the place has done with it.
        let before = member.thread.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed);
        // A signal's handler may have taken it for this very thread.
        before.is_ok() || before == Err(me)
    }

    /// Gives the places of all threads that have ended free, unless that was just done: at `swept`, the last time that is known.
    #[cold]
    #[inline(never)]
    fn reclaim(&self, members: &[Member], swept: u64, now: u64) {
        // Undisturbed before all else, since a thread that is cancelled in here would leave it begun for ever.
        let _undisturbed = Undisturbed::new();
        let since = now.saturating_sub(swept);
        let is_due = swept == 0 || since >= members.len() as u64 * PAUSE;
        let begin = || self.swept.compare_exchange(swept, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok();
        // Acquire: pairs with the release below; what one has given free the next does not give free again.
        let is_mine = is_due && !self.sweeping.swap(true, Ordering::Acquire);
        if (is_mine || is_due && swept != 0 && since >= ABANDONED) && begin() {
            for member in members {
                let thread = member.thread.load(Ordering::Relaxed);
                // Acquire: pairs with the release of those who count themselves out. Who left a wait by a jump is inside for ever.
                if thread != 0 && has_ended(thread) && member.inside.load(Ordering::Acquire) == 0 {
                    self.give_free(member, thread);
                }
            }
            return self.sweeping.store(false, Ordering::Release);
        }
        if is_mine {
            // Another did it between the look at the time and this.
            return self.sweeping.store(false, Ordering::Release);
        }
        // Threads that begin together come together. Not for ever: this may be a signal's handler in the thread that is about it.
        for polls in 0..300 {
            // Relaxed: what is free is asked again.
            if !self.sweeping.load(Ordering::Relaxed) {
                return;
            }
            // Sleeps in the end, some 30 ms: whoever is about it may be without a CPU.
            if polls < 100 { thread::yield_now() } else { thread::sleep(Duration::from_micros(100)) }
        }
    }

    /// Its sums go where they would go in the end, since the next one's name is not to stand for them. The number of its last batch and
    /// when that was over stay: they count for the barrier.
    fn give_free(&self, member: &Member, thread: u32) {
        let lasts = member.sums.lasts.swap(0, Ordering::Relaxed);
        match self.line() {
            Some(line) => {
                line.came_last(thread, lasts, member.name.words());
                member.sums.move_to(&line.sums);
            }
            None => member.sums.clear(),
        }
        // The next one's is taken with its first wait, as everybody's.
        member.name.set([0, 0]);
        self.forgotten.store(true, Ordering::Relaxed);
        // Release: pairs with `member` and `take_place`.
        member.thread.store(0, Ordering::Release);
    }

    /// Whether anybody has been here without a place.
    pub(crate) fn has_unplaced(&self) -> bool {
        let unplaced =
            |last: &Member| last.inside.load(Ordering::Relaxed) != 0 || last.batch.load(Ordering::Relaxed) != 0;
        self.members().last().is_some_and(unplaced)
    }

    /// Whether threads that have ended are not among the members any more.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Room for the threads of a barrier with so many parties, and for some more: threads come and go, and parties take turns.
    fn make_room(&self, parties: u32) {
        let places = (parties as usize).saturating_mul(2).clamp(16, PAGE - 1).next_power_of_two();
        let wanted = places.min(PAGE - 1) + 1;
        if self.places().len() >= wanted {
            return;
        }
        // From the system and not from the allocator: of a barrier that is made and not used, no page is ever touched.
        // SAFETY: a new mapping at an address of the system's choice.
        let pages = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                wanted * size_of::<Member>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if pages != libc::MAP_FAILED {
            self.used.store(false, Ordering::Relaxed);
            // Release: pairs with `places`, for those who look through all slots. The smaller ones of old are not unmapped, since one
            // of those may be looking: over the slot's life they are fewer than these.
            self.room.store(pages.expose_provenance() | wanted, Ordering::Release);
        }
    }

    /// Makes it the slot of a barrier.
    pub(crate) fn settle(&self, address: usize, parties: u32, shared: bool, line: Option<&'static Line>) {
        self.make_room(parties);
        self.parties.store(parties, Ordering::Relaxed);
        self.shared.store(shared, Ordering::Relaxed);
        self.line
            .store(line.map_or(std::ptr::null_mut(), |line| std::ptr::from_ref(line).cast_mut()), Ordering::Relaxed);
        self.forget();
        self.address.store(address, Ordering::Release);
    }

    /// Forgets who was here, and what was.
    fn forget(&self) {
        // Whose page may not be there yet, and need not be. Nobody's place, but not untouched: one that was given free, and the last.
        let untouched = |member: &&Member| {
            member.thread.load(Ordering::Relaxed) == 0
                && member.inside.load(Ordering::Relaxed) == 0
                && member.batch.load(Ordering::Relaxed) == 0
        };
        for member in self.members().iter().filter(|member| !untouched(member)) {
            member.thread.store(0, Ordering::Relaxed);
            member.inside.store(0, Ordering::Relaxed);
            member.batch.store(0, Ordering::Relaxed);
            member.left.store(0, Ordering::Relaxed);
            member.sums.clear();
        }
        self.used.store(false, Ordering::Relaxed);
        // Whoever was about it is not in this process.
        self.sweeping.store(false, Ordering::Relaxed);
        self.swept.store(0, Ordering::Relaxed);
        self.forgotten.store(false, Ordering::Relaxed);
        self.first.store(0, Ordering::Relaxed);
        self.reports.store(0, Ordering::Relaxed);
    }

    /// Whether anybody is inside.
    pub(crate) fn is_crossed(&self) -> bool {
        // Acquire: pairs with the release of those who count themselves out.
        self.members().iter().any(|member| member.inside.load(Ordering::Acquire) != 0)
    }

    /// Where its sums go.
    pub(crate) fn line(&self) -> Option<&'static Line> {
        // SAFETY: `settle` was given a reference to something static.
        unsafe { self.line.load(Ordering::Relaxed).as_ref() }
    }

    fn number(&self) -> u32 {
        let offset = std::ptr::from_ref(self).addr().wrapping_sub(TABLE.as_ptr().addr());
        (offset / size_of::<Self>()) as u32
    }

    /// What to note in the barrier.
    pub(crate) fn note(&self) -> u32 {
        if self.shared.load(Ordering::Relaxed) { SHARED } else { self.number() + FIRST }
    }

    /// Gives it back. Its barrier has no note any more.
    pub(crate) fn give_back(&self) {
        self.address.store(0, Ordering::Relaxed);
        let mut head = FREE.load(Ordering::Relaxed);
        loop {
            self.next.store(head as u32, Ordering::Relaxed);
            let new = ((head >> 32).wrapping_add(1) << 32) | u64::from(self.number() + 1);
            // Release: pairs with `take`.
            match FREE.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => head = other,
            }
        }
    }
}

/// The members, from where a thread looks first.
fn round(members: &[Member], thread: u32) -> impl Iterator<Item = &Member> {
    let (before, behind) = members.split_at_checked(thread as usize % members.len().max(1)).unwrap_or_default();
    behind.iter().chain(before)
}

/// A slot that nobody has.
pub(crate) fn take() -> Option<&'static Slot> {
    // Acquire: pairs with `give_back`; whoever had the slot has done with it.
    let mut head = FREE.load(Ordering::Acquire);
    while let Some(slot) = (head as u32).checked_sub(1).and_then(|number| TABLE.get(number as usize)) {
        let new = ((head >> 32).wrapping_add(1) << 32) | u64::from(slot.next.load(Ordering::Relaxed));
        match FREE.compare_exchange_weak(head, new, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => return Some(slot),
            Err(other) => head = other,
        }
    }
    let fresh = TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
        Some(taken + 1).filter(|taken| *taken as usize <= SLOTS)
    });
    fresh.ok().and_then(|number| TABLE.get(number as usize))
}

/// The slot with this note, if it is that of the barrier at this address.
pub(crate) fn of(note: u32, address: usize) -> Option<&'static Slot> {
    let slot = TABLE.get(note.checked_sub(FIRST)? as usize)?;
    (slot.address.load(Ordering::Acquire) == address).then_some(slot)
}

/// The slot of a shared barrier at this address.
pub(crate) fn of_shared(address: usize) -> Option<&'static Slot> {
    let here = |number: u32| {
        let slot = TABLE.get(number.checked_sub(1)? as usize)?;
        (slot.shared.load(Ordering::Relaxed) && slot.address.load(Ordering::Acquire) == address).then_some(slot)
    };
    SHARED_SLOTS.iter().map(|entry| entry.load(Ordering::Acquire)).take_while(|number| *number != 0).find_map(here)
}

/// Whether an entry is nobody's, or that of a slot which has another barrier by now.
fn is_vacant(entry: u32) -> bool {
    let slot = entry.checked_sub(1).and_then(|number| TABLE.get(number as usize));
    slot.is_none_or(|slot| slot.address.load(Ordering::Relaxed) == 0 || !slot.shared.load(Ordering::Relaxed))
}

/// Whether [`publish`] has a chance.
pub(crate) fn has_room_for_shared() -> bool {
    SHARED_SLOTS.iter().any(|entry| is_vacant(entry.load(Ordering::Relaxed)))
}

/// Makes `slot` one that [`of_shared`] finds; false if there are too many.
pub(crate) fn publish(slot: &'static Slot) -> bool {
    let number = slot.number() + 1;
    SHARED_SLOTS.iter().any(|entry| {
        let old = entry.load(Ordering::Relaxed);
        old == number
            || (is_vacant(old)
                // Release: pairs with `of_shared`.
                && entry.compare_exchange(old, number, Ordering::Release, Ordering::Relaxed).is_ok())
    })
}

/// All slots that barriers have.
pub(crate) fn live() -> impl Iterator<Item = &'static Slot> {
    let taken = (TAKEN.load(Ordering::Relaxed) as usize).min(SLOTS);
    TABLE.iter().take(taken).filter(|slot| slot.address.load(Ordering::Acquire) != 0)
}

/// In the child of a fork: nobody has waited yet.
pub(crate) fn forget_all() {
    UNSEEN.store(0, Ordering::Relaxed);
    live().for_each(Slot::forget);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::{self, Key};
    use std::sync::Barrier;
    use std::thread::{scope, yield_now};

    /// A slot of a barrier for so many, and a line of its own.
    fn slot_for(parties: u32) -> Slot {
        static ADDRESS: AtomicUsize = AtomicUsize::new(8);
        let address = ADDRESS.fetch_add(8, Ordering::Relaxed);
        let line = lines::of(Key { place: 0, parties, address, shared: false });
        let slot = Slot::new();
        slot.settle(address, parties, false, line);
        slot
    }

    /// Runs `wait` in a thread that the system has forgotten when this returns; its number.
    fn in_a_thread(wait: impl FnOnce() + Send) -> u32 {
        let thread = scope(|scope| {
            let thread = scope.spawn(|| {
                wait();
                number()
            });
            thread.join().unwrap()
        });
        // Whoever has been joined may not have ended for the kernel.
        while !has_ended(thread) {
            yield_now();
        }
        thread
    }

    /// What a wait leaves behind, if it was the last of its batch.
    fn leave(slot: &Slot, member: &Member, batch: u64) {
        slot.first.store(1, Ordering::Relaxed);
        member.name.take();
        member.sums.waits.fetch_add(1, Ordering::Relaxed);
        member.sums.lasts.fetch_add(1, Ordering::Relaxed);
        member.batch.store(batch, Ordering::Relaxed);
        member.left.store(batch + 1, Ordering::Relaxed);
    }

    /// As if the last time that places were given free were long ago.
    fn let_time_pass(slot: &Slot) {
        if slot.swept.load(Ordering::Relaxed) != 0 {
            slot.swept.store(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_comes_has_a_place_however_many_came_before_and_nothing_of_theirs_is_lost() {
        let slot = slot_for(4);
        const THREADS: u64 = 100;
        for batch in 1..=THREADS {
            let_time_pass(&slot);
            in_a_thread(|| {
                let member = slot.member().unwrap();
                assert_eq!(member.thread.load(Ordering::Relaxed), number(), "thread {batch}");
                assert!(std::ptr::eq(member, slot.member().unwrap()));
                // What was in it is the line's, and the name nobody's.
                assert_eq!(member.sums.waits.load(Ordering::Relaxed), 0);
                assert_eq!(member.name.words(), [0, 0]);
                for _ in 0..1 + 9 * u64::from(batch == 20) {
                    leave(&slot, member, batch);
                }
            });
        }
        assert!(!slot.has_unplaced() && slot.has_forgotten());
        let line = slot.line().unwrap();
        line.collect(&slot);
        let sum = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        assert_eq!((sum(&line.sums.waits), sum(&line.trips), sum(&line.lifetime)), (THREADS + 9, THREADS, THREADS));
        // It ended long ago.
        assert_eq!(line.straggler().map(|(_, times)| times), Some(10));
        line.collect(&slot);
        assert_eq!((sum(&line.sums.waits), line.straggler().map(|(_, times)| times)), (THREADS + 9, Some(10)));
    }

    #[test]
    fn a_thread_keeps_its_place_when_those_before_it_become_free() {
        let slot = slot_for(4);
        let ended = in_a_thread(|| {});
        let (_, places) = slot.places().split_last().unwrap();
        // Whoever looks for a place finds one with the last look.
        for member in round(places, number()).take(places.len() - 1) {
            member.thread.store(ended, Ordering::Relaxed);
            member.batch.store(1, Ordering::Relaxed);
        }
        let mine = slot.member().unwrap();
        assert_eq!(mine.thread.load(Ordering::Relaxed), number());
        // One of the ended is inside for ever.
        let inside = round(places, number()).next().unwrap();
        inside.inside.store(1, Ordering::Relaxed);
        in_a_thread(|| assert_eq!(slot.member().unwrap().thread.load(Ordering::Relaxed), number()));
        let free = places.iter().filter(|member| member.thread.load(Ordering::Relaxed) == 0).count();
        assert_eq!(free, places.len() - 3);
        assert_eq!(inside.thread.load(Ordering::Relaxed), ended);
        assert!(std::ptr::eq(mine, slot.member().unwrap()));
        // Not again at once, and not while another is about it.
        places
            .iter()
            .filter(|member| !std::ptr::eq(*member, mine))
            .for_each(|member| member.thread.store(ended, Ordering::Relaxed));
        let unplaced = || in_a_thread(|| assert_eq!(slot.member().unwrap().thread.load(Ordering::Relaxed), 0));
        slot.swept.store(u64::MAX, Ordering::Relaxed);
        unplaced();
        // Begun half as long ago as whoever is about it is given.
        slot.swept.store(now() - ABANDONED / 2, Ordering::Relaxed);
        slot.sweeping.store(true, Ordering::Relaxed);
        unplaced();
        // Whoever is about it never ends it.
        let_time_pass(&slot);
        in_a_thread(|| assert_eq!(slot.member().unwrap().thread.load(Ordering::Relaxed), number()));
        assert!(!slot.sweeping.load(Ordering::Relaxed));
        slot.sweeping.store(true, Ordering::Relaxed);
        // Who was about it is not in a child.
        slot.places().last().unwrap().inside.store(1, Ordering::Relaxed);
        slot.forget();
        assert!(!slot.sweeping.load(Ordering::Relaxed) && !slot.has_forgotten());
        let touched = |member: &Member| {
            member.thread.load(Ordering::Relaxed) != 0
                || member.inside.load(Ordering::Relaxed) != 0
                || member.batch.load(Ordering::Relaxed) != 0
        };
        assert!(!slot.places().iter().any(touched));
    }

    /// Another did it all between this one's look at the time and its beginning.
    #[test]
    fn nobody_leaves_a_look_begun_that_another_has_just_done() {
        let slot = slot_for(4);
        let (_, places) = slot.places().split_last().unwrap();
        slot.reclaim(places, 0, now());
        let swept = slot.swept.load(Ordering::Relaxed);
        slot.reclaim(places, 0, now());
        assert!(!slot.sweeping.load(Ordering::Relaxed));
        assert_eq!(slot.swept.load(Ordering::Relaxed), swept);
    }

    #[test]
    fn three_hundred_threads_at_one_barrier_have_a_place_each() {
        const THREADS: usize = 300;
        let (slot, all) = (slot_for(THREADS as u32), Barrier::new(THREADS));
        scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    all.wait();
                    let member = slot.member().unwrap();
                    all.wait();
                    assert_eq!(member.thread.load(Ordering::Relaxed), number());
                });
            }
        });
        for (parties, members) in [(1, 17), (8, 17), (8 + 1, 33), (2047, 4095), (2048, 4095), (u32::MAX, 4095)] {
            assert_eq!(slot_for(parties).places().len(), members, "{parties} parties");
        }
    }

    /// Those of an empty room are not even read.
    #[test]
    fn a_barrier_at_which_nobody_waits_touches_no_page() {
        let slot = slot_for(2047);
        let places = slot.places();
        let resident = || {
            let mut pages = [0u8; size_of::<[Member; PAGE]>() / 4096 + 1];
            // SAFETY: the mapping is the slot's, and there is a byte for each page of at least 4096 bytes.
            let asked =
                unsafe { libc::mincore(places.as_ptr().cast_mut().cast(), size_of_val(places), pages.as_mut_ptr()) };
            assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
            pages.iter().filter(|page| **page & 1 != 0).count()
        };
        let idle = || {
            assert!(!slot.is_crossed());
            slot.line().unwrap().collect(&slot);
            slot.forget();
        };
        idle();
        assert_eq!(resident(), 0);
        // Otherwise this would say nothing.
        slot.member().unwrap();
        assert!(resident() > 0);
    }
}
