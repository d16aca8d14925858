//! Luggage: a value that a party brings along to a trip, beside its arrival slot, so that the transfer which brings the
//! arrival brings the value as well.
//!
//! # State
//!
//! | word | writer | readers | meaning |
//! |---|---|---|---|
//! | `tag` | its party, before it arrives | all, after the trip | what the party brings: [`Tag`] |
//! | `small[p]`, `large[p]` | its party, before it arrives at a trip of parity p | all, after that trip | the value, if it fits here, or here |
//! | `gone` | its party | whoever wants to break a complete trip | `g + 1`: the party has taken what it came for from trip g, and is about to leave |
//!
//! Small values (a word) lie on the slot's line; larger ones on lines of their own, made when the first one comes. `gone`
//! is on a line that nobody else touches while all goes well.
//!
//! # Reuse
//!
//! Two places, by the parity of the trip. A party reads what belongs to trip g before it arrives at g + 1; who writes the
//! same place again, for g + 2, has seen that arrival. So a value is never written while it is read (C6).
//!
//! A tag has one place only. It says what its party brought to the trip that it arrived at last, and to the one before:
//! more is not needed, since nobody is two trips ahead of a reader.
//!
//! # Memory ordering
//!
//! All accesses to `tag` are `Relaxed`: it is written before its party's slot is published, and read behind the
//! completion of the trip. A reader may see the tag of the party's next trip, which is why it speaks of two. `gone` is
//! ordered against a break by the fences of `fate` (README, "Breaking what is complete").

use crate::primitive::{AtomicU64, Berth, Ordering};
use crossbeam_utils::CachePadded;

/// What one party brings, on the line of its slot.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Luggage {
    tag: AtomicU64,
    pub(crate) small: [Berth<1>; 2],
}

impl Luggage {
    pub(crate) fn new() -> Self {
        Self { tag: AtomicU64::new(0), small: [Berth::new(), Berth::new()] }
    }

    /// Says what the party brings to the trip that it is about to arrive at.
    #[inline(always)]
    pub(crate) fn label(&self, tag: Tag) {
        self.tag.store(tag.0, Ordering::Relaxed);
    }

    /// Whether the party brought a thing of this kind to `generation`, which is complete.
    #[inline(always)]
    pub(crate) fn has(&self, kind: Kind, generation: u64) -> bool {
        Tag(self.tag.load(Ordering::Relaxed)).has(kind, generation)
    }

    /// Whether the party left with `generation`, which is complete.
    pub(crate) fn is_leaving(&self, generation: u64) -> bool {
        self.kind(generation) == Some(Kind::LEAVING)
    }

    /// What kind of thing the party brought to `generation`, which is complete; `None` if nothing.
    pub(crate) fn kind(&self, generation: u64) -> Option<Kind> {
        Tag(self.tag.load(Ordering::Relaxed)).kind(generation)
    }
}

/// Room for a larger value of one party, and the word that says that it has left.
#[derive(Debug)]
pub(crate) struct Trunk {
    gone: CachePadded<AtomicU64>,
    pub(crate) large: [CachePadded<Berth<8>>; 2],
}

impl Trunk {
    /// Of a party that arrives at `first` next.
    pub(crate) fn new(first: u64) -> Self {
        let large = [CachePadded::new(Berth::new()), CachePadded::new(Berth::new())];
        Self { gone: CachePadded::new(AtomicU64::new(first)), large }
    }

    /// The party has what it came for, and is about to leave trip `generation`.
    #[inline(always)]
    pub(crate) fn leave(&self, generation: u64) {
        self.gone.store(generation.wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether the party has left trip `generation`, or is about to.
    pub(crate) fn has_left(&self, generation: u64) -> bool {
        (self.gone.load(Ordering::Relaxed).wrapping_sub(generation) as i64) > 0
    }
}

/// A number for an operation on values of one type; the same for all parties of a barrier, and never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) u16);

impl Kind {
    /// Stands for all that there are no numbers left for: never the same as any other, itself included.
    pub(crate) const UNNUMBERED: Self = Self(u16::MAX);

    /// What a party brings that leaves with this trip: nothing, whatever the others bring.
    pub(crate) const LEAVING: Self = Self(u16::MAX - 1);

    /// What a party brings that has arrived and gone to work: nothing, and it does not stay to see what becomes of the trip.
    pub(crate) const ABSENT: Self = Self(u16::MAX - 2);

    /// Whether a party that brought `other` is no obstacle to those who bring this.
    pub(crate) fn agrees(self, other: Option<Self>) -> bool {
        (other == Some(self) && self != Self::UNNUMBERED) || other == Some(Self::LEAVING)
    }
}

/// `{ trip: low half of g + 1, kind: brought to g, before: brought to g - 1 }`, from high to low: 32, 16, 16 bits.
///
/// Half a generation is enough: a tag is only mistaken for that of a trip exactly 2^32 later, and only if its party has
/// brought nothing since and should have now; the value found is then an old one of the same type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tag(u64);

impl Tag {
    /// The tag for `generation` of a party whose last one was `last`.
    #[inline(always)]
    pub(crate) fn after(last: Self, generation: u64, kind: Kind) -> Self {
        let before = if (last.0 >> 32) as u32 == generation as u32 { (last.0 >> 16) & 0xffff } else { 0 };
        Self((generation.wrapping_add(1) << 32) | (u64::from(kind.0) << 16) | before)
    }

    /// Whether [`Tag::kind`] is this one. Without a branch on which of the two trips the tag was written for: that is a
    /// race between the parties, and a wrong guess costs more than all the rest of a reduction (measured, with two parties:
    /// a third of a trip).
    #[inline(always)]
    fn has(self, kind: Kind, generation: u64) -> bool {
        let ahead = ((self.0 >> 32) as u32).wrapping_sub(generation as u32).wrapping_sub(1);
        (ahead <= 1) & ((self.0 >> (16 - 16 * (ahead & 1))) as u16 == kind.0)
    }

    fn kind(self, generation: u64) -> Option<Kind> {
        let trip = (self.0 >> 32) as u32;
        let kind = match trip.wrapping_sub(generation as u32) {
            1 => (self.0 >> 16) as u16,
            2 => self.0 as u16,
            _ => 0,
        };
        (kind != 0).then_some(Kind(kind))
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_tag_speaks_of_its_trip_and_the_one_before_across_the_wrap() {
        for generation in [5, u64::MAX, u64::MAX - 1, u64::from(u32::MAX), u64::from(u32::MAX) - 1] {
            let last = Tag::after(Tag::default(), generation.wrapping_sub(1), Kind(9));
            let tag = Tag::after(last, generation, Kind(7));
            assert_eq!(tag.kind(generation), Some(Kind(7)));
            assert_eq!(tag.kind(generation.wrapping_sub(1)), Some(Kind(9)));
            assert_eq!(tag.kind(generation.wrapping_sub(2)), None);
            assert_eq!(tag.kind(generation.wrapping_add(1)), None);
            for trip in [-2, -1, 0, 1, 2].map(|off| generation.wrapping_add_signed(off)) {
                for kind in [Kind(7), Kind(9), Kind(8)] {
                    assert_eq!(tag.has(kind, trip), tag.kind(trip) == Some(kind));
                }
            }
            let later = Tag::after(last, generation.wrapping_add(1), Kind(7));
            assert_eq!(later.kind(generation), None, "a trip without luggage in between");
        }
    }

    #[test]
    fn kinds_agree_with_themselves_and_with_those_who_leave() {
        let agrees = |one: Kind| {
            [Some(one), Some(Kind(8)), Some(Kind::LEAVING), Some(Kind::ABSENT), None].map(|other| one.agrees(other))
        };
        assert_eq!(agrees(Kind(7)), [true, false, true, false, false]);
        assert_eq!(agrees(Kind::UNNUMBERED), [false, false, true, false, false]);
        let numbers = [Kind::UNNUMBERED, Kind::LEAVING, Kind::ABSENT].map(|kind| kind.0);
        assert_eq!(numbers, [0xffff, 0xfffe, 0xfffd]);
    }

    #[test]
    fn luggage_says_what_was_brought_and_a_trunk_who_has_left() {
        let (luggage, trunk) = (Luggage::new(), Trunk::new(5));
        luggage.label(Tag::after(Tag::default(), 5, Kind(7)));
        assert!(luggage.has(Kind(7), 5) && !luggage.has(Kind(8), 5) && !luggage.is_leaving(5));
        assert_eq!(luggage.kind(5), Some(Kind(7)));
        luggage.label(Tag::after(Tag::default(), 6, Kind::LEAVING));
        assert!(luggage.is_leaving(6) && !luggage.is_leaving(7));
        assert!(trunk.has_left(4) && !trunk.has_left(5));
        trunk.leave(5);
        assert!(trunk.has_left(5) && !trunk.has_left(6));
    }

    #[test]
    fn two_slots_and_their_luggage_fill_one_line() {
        assert_eq!(size_of::<[AtomicU64; 2]>() + 2 * size_of::<Luggage>(), 64);
    }
}
