//! The ring: the latest events of one party, written by it alone, and read at any time by anybody.
//!
//! The party must not wait for a reader, and pays no read-modify-write and no fence of the processor (on x86; on others
//! one of the cheap kind). So a reader copies while the party writes, finds out afterwards what may have been overwritten
//! meanwhile, and leaves that out: a seqlock with a place for each event instead of a sequence for each place.
//!
//! # State
//!
//! | word | writer | meaning |
//! |---|---|---|
//! | `head` | the party | `n`: events `0..n` are written, and if any is being written now, it is event `n` |
//! | place `n % places` | the party | event `n`, until event `n + places` takes its place |
//!
//! There is one place more than events are kept: the one that may be written just now belongs to none of those.
//!
//! # Protocol
//!
//! To write event n, the party (1) does a release fence, (2) stores its words into the place, (3) stores n + 1 into `head`
//! with release. A reader (a) loads `head` with acquire: h; (b) copies the events below h, as many as are kept; (c) does an
//! acquire fence; (d) loads `head` again: k; and (e) leaves out every event i with i + places <= k.
//!
//! What is left is whole. Not older than it should be: (a) synchronises with (3) of event h - 1, so that (b) finds in every
//! place at least what had been stored there for the events below h. Not newer either: if (b) has read a word of event
//! j = i + places (or a later one) in the place of event i, then that word was stored in (2) behind the release fence (1) of
//! event j, and (b) is before the acquire fence (c); so the fences synchronise, what came before (1) is visible to (d), and
//! that is `head` = j, stored at the end of event j - 1. Hence k >= j, and i is left out.
//!
//! # Memory ordering
//!
//! As above; the words of events are relaxed. A ring has one writer at a time: the handle of its rank, and the next handle
//! begins under the registry's lock, behind the end of the one before.

use crate::primitive::{AtomicU64, Ordering, fence};
use crossbeam_utils::CachePadded;
use std::sync::Arc;

/// The words of one event: half a line.
pub(crate) const WORDS: usize = 4;

/// One event, as the ring knows it.
pub(crate) type Words = [u64; WORDS];

/// See the module.
#[derive(Debug)]
pub(crate) struct Ring {
    head: CachePadded<AtomicU64>,
    places: Box<[Place]>,
}

/// Never across two lines.
#[derive(Debug)]
#[repr(align(32))]
struct Place([AtomicU64; WORDS]);

/// What a reader finds.
#[derive(Debug)]
pub(crate) struct Copied {
    /// The number of the first event here.
    pub(crate) first: u64,
    pub(crate) events: Vec<Words>,
}

/// Copies until one finds something whole, where the party is faster than the reader.
const TRIES: usize = if cfg!(all(test, phalanx_loom)) { 1 } else { 8 };

impl Ring {
    /// A ring that keeps the latest `events`.
    pub(crate) fn new(events: usize) -> Self {
        let place = || Place(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { head: CachePadded::new(AtomicU64::new(0)), places: (0..=events).map(|_| place()).collect() }
    }

    /// The latest events that are whole.
    pub(crate) fn read(&self) -> Copied {
        let mut copied = self.copy();
        for _ in 1..TRIES {
            if !copied.events.is_empty() || copied.first == 0 || self.places.len() == 1 {
                break;
            }
            copied = self.copy();
        }
        copied
    }

    fn copy(&self) -> Copied {
        let places = self.places.len() as u64;
        let kept = |head: u64| head.saturating_sub(places - 1);
        // [ring-read] Acquire: pairs with the Release of `write`; brings the events below.
        let head = self.head.load(Ordering::Acquire);
        let oldest = kept(head);
        let mut events: Vec<Words> = (oldest..head).map(|number| self.place(number)).collect();
        // [ring-check] Acquire: pairs with the fence of `write`, whose words may have been read above.
        fence(Ordering::Acquire);
        let whole = kept(self.head.load(Ordering::Relaxed)).clamp(oldest, head);
        events.drain(..(whole - oldest) as usize);
        Copied { first: whole, events }
    }

    fn place(&self, number: u64) -> Words {
        let Place(words) = &self.places[(number % self.places.len() as u64) as usize];
        std::array::from_fn(|word| words[word].load(Ordering::Relaxed))
    }
}

/// The right to write into a ring.
#[derive(Debug)]
pub(crate) struct Pen {
    ring: Arc<Ring>,
    /// What `head` is.
    head: u64,
    /// `head` modulo the number of places.
    place: usize,
}

impl Pen {
    /// Goes on where the last pen of this ring has stopped; that happens before.
    pub(crate) fn new(ring: Arc<Ring>) -> Self {
        // Relaxed: the caller has the order.
        let head = ring.head.load(Ordering::Relaxed);
        let place = (head % ring.places.len() as u64) as usize;
        Self { ring, head, place }
    }

    /// Writes an event.
    #[inline(always)]
    pub(crate) fn write(&mut self, event: Words) {
        // [ring-over] Release: pairs with the fence of `copy`; who reads a word of this event learns that the one before is
        // written, and its place not what it was.
        fence(Ordering::Release);
        let Place(words) = &self.ring.places[self.place];
        for (word, value) in words.iter().zip(event) {
            word.store(value, Ordering::Relaxed);
        }
        self.head += 1;
        // [ring-write] Release: pairs with the Acquire of `copy`; carries the event.
        self.ring.head.store(self.head, Ordering::Release);
        self.place = if self.place + 1 == self.ring.places.len() { 0 } else { self.place + 1 };
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use std::thread;

    fn event(number: u64) -> Words {
        [number, number + 1, number * 3, !number]
    }

    fn check(copied: &Copied) {
        for (number, words) in (copied.first..).zip(&copied.events) {
            assert_eq!(*words, event(number));
        }
    }

    #[test]
    fn the_latest_are_kept_exactly() {
        for kept in [0usize, 1, 2, 3, 16] {
            let ring = Arc::new(Ring::new(kept));
            for number in 0..40u64 {
                let copied = ring.read();
                check(&copied);
                assert_eq!(
                    (copied.first + copied.events.len() as u64, copied.events.len()),
                    (number, kept.min(number as usize))
                );
                // Each by a new pen: it goes on where the last one was.
                Pen::new(Arc::clone(&ring)).write(event(number));
            }
        }
    }

    #[test]
    fn what_is_read_while_the_party_writes_is_whole() {
        let events = if cfg!(miri) { 200 } else { 200_000 };
        for kept in [1, 2, 7, 64] {
            let ring = Arc::new(Ring::new(kept));
            thread::scope(|scope| {
                let mut pen = Pen::new(Arc::clone(&ring));
                let writer = scope.spawn(move || (0..events).for_each(|number| pen.write(event(number))));
                let mut last = 0;
                let mut writer = Some(writer);
                loop {
                    let ended = writer.take_if(|writer| writer.is_finished()).map(|writer| writer.join().unwrap());
                    let copied = ring.read();
                    check(&copied);
                    let end = copied.first + copied.events.len() as u64;
                    assert!(end >= last && copied.events.len() <= kept, "{last} {copied:?}");
                    last = end;
                    if ended.is_some() {
                        assert_eq!((end, copied.events.len()), (events, kept));
                        break;
                    }
                }
            });
        }
    }

    #[test]
    fn a_place_is_half_a_line() {
        assert_eq!((size_of::<Place>(), align_of::<Place>()), (32, 32));
    }
}
