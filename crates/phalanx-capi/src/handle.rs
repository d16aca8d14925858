//! Handles: numbers that C keeps as pointers, and the tables behind them.
//!
//! A handle is kind, index and life: which table, which cell of it, and how often the cell had been in use before. A cell is
//! made once and lives as long as the process, so reading one is always allowed; what it holds comes and goes, and whether it
//! is what a handle means is seen from the cell's state word, `{ life, status }`.
//!
//! Two kinds of tables:
//!
//! - [`Booths`]: what one thread uses at a time (parties). To enter is to swap `{ life, idle }` for `{ life, busy }`: one
//!   read-modify-write of a line that no other thread has business with.
//! - [`Shelf`]: what any number of threads use at once (barriers, teams). Each pins it meanwhile, in one of a few counters so that
//!   they do not all write the same line. Pins and the end cross each other as in Dekker's algorithm: one side counts itself,
//!   then looks at the state; the other changes the state, then looks at the counts. All four are sequentially consistent, so
//!   at least one of them sees the other.
//!
//! Limits: a cell that has been used 2^32 times (2^12 where pointers have 32 bits) takes the handle of its first life for the present
//! one. 2^29 objects of each kind can live at once (2^17).

use std::cell::{Cell as Local, UnsafeCell};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a handle is for. Never 0, so that no handle is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Barrier = 1,
    Party = 2,
    Shared = 3,
    Team = 4,
    Member = 5,
}

impl Kind {
    /// As it is called in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::Party => "party",
            Self::Shared => "shared barrier",
            Self::Team => "team",
            Self::Member => "member",
        }
    }
}

const KIND_BITS: u32 = 3;
const INDEX_BITS: u32 = if usize::BITS >= 64 { 29 } else { 17 };
const LIFE_BITS: u32 = usize::BITS - KIND_BITS - INDEX_BITS;

/// Which cell, and which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    index: usize,
    life: u64,
}

impl Place {
    fn handle(self, kind: Kind) -> usize {
        // No bits are lost: `Cells::take` gives out no index that is too large, and `next_life` stays in its bits.
        ((self.life as usize) << (KIND_BITS + INDEX_BITS)) | (self.index << KIND_BITS) | kind as usize
    }

    fn of(handle: usize, kind: Kind) -> Option<Self> {
        let index = (handle >> KIND_BITS) & ((1 << INDEX_BITS) - 1);
        let life = (handle >> (KIND_BITS + INDEX_BITS)) as u64;
        (handle & ((1 << KIND_BITS) - 1) == kind as usize).then_some(Self { index, life })
    }
}

fn next_life(life: u64) -> u64 {
    (life + 1) & ((1 << LIFE_BITS) - 1)
}

/// Nothing is in the cell.
const VACANT: u64 = 0;
/// Something is, and may be used.
const LIVE: u64 = 1;
/// A booth: somebody uses it. A shelf: somebody asks whether anybody does.
const HELD: u64 = 2;
/// A shelf: it has ended, and somebody may still use it.
const ENDED: u64 = 3;
/// A shelf: somebody takes it down.
const REAPED: u64 = 4;

fn word(life: u64, status: u64) -> u64 {
    (life << 3) | status
}

fn parts(word: u64) -> (u64, u64) {
    (word >> 3, word & 7)
}

/// Why a handle is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing that lives.
    Stale,
    /// It is in use.
    Busy,
}

/// Cells that stay where they are: chunks of doubling size.
struct Cells<C: 'static> {
    chunks: [AtomicPtr<C>; CHUNKS],
    stock: Mutex<Stock>,
}

const FIRST: usize = 16;
const CHUNKS: usize = (INDEX_BITS - FIRST.ilog2()) as usize;

struct Stock {
    vacant: Vec<usize>,
    /// How many cells there are.
    made: usize,
}

impl<C: Default> Cells<C> {
    const fn new() -> Self {
        Self {
            chunks: [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS],
            stock: Mutex::new(Stock { vacant: Vec::new(), made: 0 }),
        }
    }

    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chunk and place in it.
    fn at(index: usize) -> (usize, usize) {
        let chunk = (index + FIRST).ilog2() - FIRST.ilog2();
        (chunk as usize, index + FIRST - (FIRST << chunk))
    }

    fn get(&self, index: usize) -> Option<&'static C> {
        let (chunk, place) = Self::at(index);
        // Acquire: pairs with the Release in `take`; carries the making of the chunk.
        let first = self.chunks.get(chunk)?.load(Ordering::Acquire);
        // SAFETY: a chunk that is there has all of its `FIRST << chunk` cells, and stays for ever.
        (!first.is_null()).then(|| unsafe { &*first.add(place) })
    }

    /// A vacant cell; none if there is no index left.
    fn take(&self) -> Option<(usize, &'static C)> {
        let mut stock = self.stock();
        let index = match stock.vacant.pop() {
            Some(index) => index,
            None => {
                let (chunk, place) = Self::at(stock.made);
                let home = self.chunks.get(chunk)?;
                if place == 0 {
                    let cells: Vec<C> = (0..FIRST << chunk).map(|_| C::default()).collect();
                    home.store(Box::leak(cells.into_boxed_slice()).as_mut_ptr(), Ordering::Release);
                }
                stock.made += 1;
                stock.made - 1
            }
        };
        drop(stock);
        Some((index, self.get(index)?))
    }

    fn give_back(&self, index: usize) {
        self.stock().vacant.push(index);
    }

    fn in_use(&self) -> usize {
        let stock = self.stock();
        stock.made - stock.vacant.len()
    }
}

/// A table of what one thread uses at a time.
pub(crate) struct Booths<T: 'static> {
    kind: Kind,
    cells: Cells<Booth<T>>,
}

/// Aligned to two lines, which processors fetch together.
#[repr(align(128))]
struct Booth<T> {
    state: AtomicU64,
    content: UnsafeCell<Option<T>>,
}

impl<T> Default for Booth<T> {
    fn default() -> Self {
        Self { state: AtomicU64::new(word(1, VACANT)), content: UnsafeCell::new(None) }
    }
}

// SAFETY: the content is only touched by whoever has moved the state from idle to busy, or taken the cell out of the stock, and is
// passed on by the Release that follows; so it is sent from thread to thread, never shared.
unsafe impl<T: Send> Sync for Booths<T> {}

impl<T> Booths<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, cells: Cells::new() }
    }

    /// How many are in use, for tests.
    pub(crate) fn in_use(&self) -> usize {
        self.cells.in_use()
    }

    /// Takes something in; its handle, or none if there is no room.
    pub(crate) fn put(&self, content: T) -> Option<usize> {
        let (index, booth) = self.cells.take()?;
        let (life, _) = parts(booth.state.load(Ordering::Relaxed));
        // SAFETY: the cell was in the stock, so nobody else touches it; the stock's lock orders its last use before this.
        unsafe { *booth.content.get() = Some(content) };
        // Release: pairs with the Acquire in `enter`; carries the content.
        booth.state.store(word(life, LIVE), Ordering::Release);
        Some(Place { index, life }.handle(self.kind))
    }

    /// Lets the caller use what the handle means, alone.
    #[inline]
    pub(crate) fn enter(&'static self, handle: usize) -> Result<Inside<T>, Refusal> {
        let place = Place::of(handle, self.kind).ok_or(Refusal::Stale)?;
        let booth = self.cells.get(place.index).ok_or(Refusal::Stale)?;
        let (idle, busy) = (word(place.life, LIVE), word(place.life, HELD));
        // Acquire: pairs with the Release of whoever was here before; carries the content.
        match booth.state.compare_exchange(idle, busy, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Inside { booths: self, booth, place }),
            Err(now) if now == busy => Err(Refusal::Busy),
            Err(_) => Err(Refusal::Stale),
        }
    }
}

/// The right to use what is in a booth.
pub(crate) struct Inside<T: 'static> {
    booths: &'static Booths<T>,
    booth: &'static Booth<T>,
    place: Place,
}

impl<T> Inside<T> {
    #[inline]
    pub(crate) fn content(&mut self) -> &mut T {
        // SAFETY: whoever made this moved the state from idle to busy, and nobody else touches the content before it is dropped.
        let content = unsafe { &mut *self.booth.content.get() };
        content.as_mut().expect("a booth that can be entered is taken")
    }

    /// Takes it out: its handle is stale from here on.
    pub(crate) fn remove(self) -> T {
        // SAFETY: as in `content`.
        let content = unsafe { (*self.booth.content.get()).take() };
        let Self { booths, booth, place } = self;
        std::mem::forget(self);
        booth.state.store(word(next_life(place.life), VACANT), Ordering::Release);
        booths.cells.give_back(place.index);
        content.expect("a booth that can be entered is taken")
    }
}

impl<T> Drop for Inside<T> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `enter`; carries what was done to the content.
        self.booth.state.store(word(self.place.life, LIVE), Ordering::Release);
    }
}

/// A table of what many threads use at once.
pub(crate) struct Shelf<T: 'static> {
    kind: Kind,
    cells: Cells<Slot<T>>,
}

const COUNTERS: usize = 8;

#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicUsize);

#[repr(align(128))]
struct Slot<T> {
    state: AtomicU64,
    content: UnsafeCell<Option<T>>,
    pins: [Counter; COUNTERS],
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { state: AtomicU64::new(word(1, VACANT)), content: UnsafeCell::new(None), pins: Default::default() }
    }
}

impl<T> Slot<T> {
    /// Whether nobody uses it, given that its state lets no one in: then it stays so.
    fn is_left(&self) -> bool {
        self.pins.iter().all(|pins| pins.0.load(Ordering::SeqCst) == 0)
    }
}

// SAFETY: the content is shared by those who pin it, and taken out by one who knows that nobody pins it any more.
unsafe impl<T: Send + Sync> Sync for Shelf<T> {}

impl<T> Shelf<T> {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, cells: Cells::new() }
    }

    /// How many are in use, for tests.
    pub(crate) fn in_use(&self) -> usize {
        self.cells.in_use()
    }

    /// Takes something in; its handle, or none if there is no room.
    pub(crate) fn put(&self, content: T) -> Option<usize> {
        let (index, slot) = self.cells.take()?;
        let (life, _) = parts(slot.state.load(Ordering::Relaxed));
        // SAFETY: the cell was in the stock, so nobody else touches it; the stock's lock orders its last use before this.
        unsafe { *slot.content.get() = Some(content) };
        slot.state.store(word(life, LIVE), Ordering::SeqCst);
        Some(Place { index, life }.handle(self.kind))
    }

    fn find(&'static self, handle: usize) -> Result<(Place, &'static Slot<T>), Refusal> {
        let place = Place::of(handle, self.kind).ok_or(Refusal::Stale)?;
        Ok((place, self.cells.get(place.index).ok_or(Refusal::Stale)?))
    }

    /// Lets the caller use what the handle means, beside others.
    #[inline]
    pub(crate) fn pin(&'static self, handle: usize) -> Result<Pin<T>, Refusal> {
        let (place, slot) = self.find(handle)?;
        let counter = own_counter();
        slot.pins[counter].0.fetch_add(1, Ordering::SeqCst);
        let pin = Pin { shelf: self, slot, place, counter };
        match parts(slot.state.load(Ordering::SeqCst)) {
            (life, LIVE) if life == place.life => Ok(pin),
            // Busy being asked: it may go on living.
            (life, HELD) if life == place.life => Err(Refusal::Busy),
            _ => Err(Refusal::Stale),
        }
    }

    /// Ends it, if nobody uses it now, and gives it back.
    pub(crate) fn take(&'static self, handle: usize) -> Result<T, Refusal> {
        let (place, slot) = self.find(handle)?;
        let (live, held) = (word(place.life, LIVE), word(place.life, HELD));
        match slot.state.compare_exchange(live, held, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {}
            Err(now) if now == held => return Err(Refusal::Busy),
            Err(_) => return Err(Refusal::Stale),
        }
        if !slot.is_left() {
            slot.state.store(live, Ordering::SeqCst);
            return Err(Refusal::Busy);
        }
        Ok(self.clear(place, slot))
    }

    /// Takes out what nobody uses, and can use, any more.
    fn clear(&self, place: Place, slot: &Slot<T>) -> T {
        // SAFETY: the caller has moved the state to one that lets nobody in, and has seen that nobody is there.
        let content = unsafe { (*slot.content.get()).take() };
        slot.state.store(word(next_life(place.life), VACANT), Ordering::SeqCst);
        self.cells.give_back(place.index);
        content.expect("a slot that lives is taken")
    }
}

/// Use of what is on a shelf.
pub(crate) struct Pin<T: 'static> {
    shelf: &'static Shelf<T>,
    slot: &'static Slot<T>,
    place: Place,
    counter: usize,
}

impl<T> std::ops::Deref for Pin<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `pin` gives this out only if the state was live behind the count, so whoever ends it sees the count, and leaves
        // the content alone until this is dropped.
        let content = unsafe { &*self.slot.content.get() };
        content.as_ref().expect("a slot that lives is taken")
    }
}

impl<T> Pin<T> {
    /// Ends it: its handle is stale from here on. Whoever is the last to use it takes it down. Not if somebody else was first.
    pub(crate) fn end(&self) -> Result<(), Refusal> {
        let (live, ended) = (word(self.place.life, LIVE), word(self.place.life, ENDED));
        let ended = self.slot.state.compare_exchange(live, ended, Ordering::SeqCst, Ordering::SeqCst);
        ended.map(drop).map_err(|_| Refusal::Stale)
    }
}

impl<T> Drop for Pin<T> {
    #[inline]
    fn drop(&mut self) {
        self.slot.pins[self.counter].0.fetch_sub(1, Ordering::SeqCst);
        let now = self.slot.state.load(Ordering::SeqCst);
        if let (life, ENDED) = parts(now) {
            // Perhaps of a later life: then this helps, and what it takes down has ended all the same.
            if self.slot.is_left()
                && self.slot.state.compare_exchange(now, word(life, REAPED), Ordering::SeqCst, Ordering::SeqCst).is_ok()
            {
                drop(self.shelf.clear(Place { life, ..self.place }, self.slot));
            }
        }
    }
}

/// The counter in which this thread counts itself.
#[inline]
fn own_counter() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    const NONE: usize = usize::MAX;
    thread_local!(static OWN: Local<usize> = const { Local::new(NONE) });
    OWN.with(|own| {
        if own.get() == NONE {
            own.set(THREADS.fetch_add(1, Ordering::Relaxed) % COUNTERS);
        }
        own.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn a_handle_is_told_from_null_and_from_other_kinds() {
        static BOOTHS: Booths<u8> = Booths::new(Kind::Party);
        static SHELF: Shelf<u8> = Shelf::new(Kind::Team);
        let (party, team) = (BOOTHS.put(7).unwrap(), SHELF.put(8).unwrap());
        assert_ne!((party, team), (0, 0));
        assert_eq!(*BOOTHS.enter(party).unwrap().content(), 7);
        assert_eq!(*SHELF.pin(team).unwrap(), 8);
        for noise in [0, 1, 2, 4, usize::MAX, team, party ^ 8, party + (1 << 12), 0x7fff_f000] {
            assert_eq!(BOOTHS.enter(noise).err(), Some(Refusal::Stale), "{noise:#x}");
        }
        assert_eq!(SHELF.pin(party).err(), Some(Refusal::Stale));
        assert_eq!(SHELF.take(party).err(), Some(Refusal::Stale));
    }

    #[test]
    fn a_booth_has_room_for_one_and_ends_once() {
        static BOOTHS: Booths<String> = Booths::new(Kind::Party);
        let handle = BOOTHS.put("here".into()).unwrap();
        let inside = BOOTHS.enter(handle).unwrap();
        assert_eq!(BOOTHS.enter(handle).err(), Some(Refusal::Busy));
        drop(inside);
        assert_eq!(BOOTHS.enter(handle).unwrap().remove(), "here");
        assert_eq!(BOOTHS.enter(handle).err(), Some(Refusal::Stale));
        let next = BOOTHS.put("again".into()).unwrap();
        assert_ne!(next, handle); // the same cell, another life
        assert_eq!(next & ((1 << (KIND_BITS + INDEX_BITS)) - 1), handle & ((1 << (KIND_BITS + INDEX_BITS)) - 1));
        assert_eq!(BOOTHS.enter(handle).err(), Some(Refusal::Stale));
        assert_eq!(BOOTHS.in_use(), 1);
    }

    #[test]
    fn cells_stay_where_they_are_however_many_there_are() {
        static BOOTHS: Booths<usize> = Booths::new(Kind::Party);
        let count = if cfg!(miri) { 200 } else { 5_000 };
        let handles: Vec<usize> = (0..count).map(|value| BOOTHS.put(value).unwrap()).collect();
        for (value, &handle) in handles.iter().enumerate() {
            assert_eq!(*BOOTHS.enter(handle).unwrap().content(), value);
        }
        assert_eq!(BOOTHS.in_use(), count);
        for handle in handles {
            BOOTHS.enter(handle).unwrap().remove();
        }
        assert_eq!(BOOTHS.in_use(), 0);
    }

    #[test]
    fn lives_wrap() {
        assert_eq!(next_life((1 << LIFE_BITS) - 1), 0);
        let last = Place { index: (1 << INDEX_BITS) - 1, life: (1 << LIFE_BITS) - 1 };
        assert_eq!(Place::of(last.handle(Kind::Member), Kind::Member), Some(last));
        assert_eq!(Place::of(last.handle(Kind::Member), Kind::Team), None);
    }

    #[test]
    fn what_is_pinned_is_not_taken_and_is_taken_down_by_the_last() {
        static SHELF: Shelf<Arc<()>> = Shelf::new(Kind::Shared);
        let content = Arc::new(());
        let handle = SHELF.put(Arc::clone(&content)).unwrap();
        let (first, second) = (SHELF.pin(handle).unwrap(), SHELF.pin(handle).unwrap());
        assert_eq!(SHELF.take(handle).err(), Some(Refusal::Busy));
        assert_eq!(first.end(), Ok(()));
        assert_eq!(second.end(), Err(Refusal::Stale));
        assert_eq!(SHELF.pin(handle).err(), Some(Refusal::Stale));
        assert_eq!(SHELF.take(handle).err(), Some(Refusal::Stale));
        drop(first);
        assert_eq!(Arc::strong_count(&content), 2);
        drop(second);
        assert_eq!((Arc::strong_count(&content), SHELF.in_use()), (1, 0));
        let handle = SHELF.put(Arc::clone(&content)).unwrap();
        drop(SHELF.take(handle).unwrap());
        assert_eq!((Arc::strong_count(&content), SHELF.in_use()), (1, 0));
    }

    #[test]
    fn threads_that_use_and_end_the_same_things() {
        static SHELF: Shelf<Arc<usize>> = Shelf::new(Kind::Shared);
        static BOOTHS: Booths<usize> = Booths::new(Kind::Party);
        let rounds = if cfg!(miri) { 5 } else { 2_000 };
        for round in 0..rounds {
            let content = Arc::new(round);
            let shared = SHELF.put(Arc::clone(&content)).unwrap();
            let own = BOOTHS.put(round).unwrap();
            let ended: usize = thread::scope(|s| {
                let workers: Vec<_> = (0..3)
                    .map(|worker| {
                        s.spawn(move || {
                            let mut ended = 0;
                            for step in 0..4 {
                                if let Ok(pin) = SHELF.pin(shared) {
                                    assert_eq!(**pin, round);
                                    ended += usize::from(step == worker && pin.end().is_ok());
                                }
                                if let Ok(mut inside) = BOOTHS.enter(own) {
                                    *inside.content() += 1;
                                }
                            }
                            ended
                        })
                    })
                    .collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).sum()
            });
            assert!(ended == 1, "ended {ended} times");
            assert_eq!(Arc::strong_count(&content), 1);
            assert!(BOOTHS.enter(own).unwrap().remove() > round);
        }
        assert_eq!((SHELF.in_use(), BOOTHS.in_use()), (0, 0));
    }
}
