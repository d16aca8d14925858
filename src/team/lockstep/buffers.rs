//! The state: every member's part, in as many layers as it takes to keep the one before a tick until the tick is complete.
//!
//! # Layers
//!
//! With one phase there are two: the front, which everybody reads, and the back, of which each member writes its own part.
//! With several there are three: phase 0 reads the front and writes one of the others, phase 1 reads that and writes the
//! third, and so on in turn. The front stays as it is until the last phase is complete, and then the layer written last is
//! the front. So the state before a tick is there until the state behind it is whole.
//!
//! # Who may touch what
//!
//! A *step* is one phase of one tick, or of several local ones; between two steps there is a trip of all members.
//!
//! 1. All members start a run at the same step, with the same front, and count both alike: every trip has the same outcome
//!    for all (C2), and what else ends a run is decided by a word that all find alike behind the same trip
//!    (`flight.rs`).
//! 2. In a step a member reads one layer and writes its own part of another one ([`Roles`]).
//! 3. Nobody is in step k + 1 before everybody has arrived behind step k (C1). So while anybody computes step k, whoever
//!    else computes, computes step k: reads the same layer, and writes other parts of the same other layer.
//! 4. What was written in step k is read in step k + 1, behind the trip that carries it (C1).
//!
//! The engine makes the rendezvous of its members itself, and [`Rendezvous`](crate::team::Rendezvous) is sealed, so that
//! C1 and C2 are this crate's own promise and not a user's.

use crate::primitive::Plot;
use crossbeam_utils::CachePadded;
use std::fmt;

/// The layers, each with one part for every member.
pub(super) struct Buffers<P> {
    layers: Vec<Vec<CachePadded<Plot<P>>>>,
}

/// Which layer a step reads, and which it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Roles {
    pub(super) reads: usize,
    pub(super) writes: usize,
}

impl Roles {
    /// Those of phase `phase`, if the state before the tick is in `front`.
    pub(super) fn of(front: usize, phase: usize, layers: usize) -> Self {
        let other = |turn: usize| (front + 1 + turn % 2) % layers;
        let reads = if phase == 0 { front } else { other(phase - 1) };
        Self { reads, writes: if layers == 2 { 1 - front } else { other(phase) } }
    }
}

impl<P> Buffers<P> {
    /// Two layers, or three if a tick has more than one phase.
    pub(super) fn count(phases: usize) -> usize {
        if phases > 1 { 3 } else { 2 }
    }

    /// `parts` has each member's part once for every layer.
    pub(super) fn new(parts: Vec<Vec<P>>, layers: usize) -> Self {
        let mut all: Vec<Vec<_>> = (0..layers).map(|_| Vec::with_capacity(parts.len())).collect();
        for copies in parts {
            for (layer, copy) in all.iter_mut().zip(copies) {
                layer.push(CachePadded::new(Plot::new(copy)));
            }
        }
        Self { layers: all }
    }

    pub(super) fn parts(&self) -> usize {
        self.layers[0].len()
    }

    pub(super) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// The parts of one layer, while nobody runs.
    pub(super) fn layer_mut(&mut self, layer: usize) -> impl ExactSizeIterator<Item = &mut P> {
        self.layers[layer].iter_mut().map(|plot| plot.get_mut())
    }

    /// The parts of one layer alone.
    pub(super) fn into_layer(mut self, layer: usize) -> Vec<P> {
        let layer = self.layers.swap_remove(layer);
        layer.into_iter().map(|plot| CachePadded::into_inner(plot).into_inner()).collect()
    }

    /// Makes all other layers like `front`.
    pub(super) fn mend(&mut self, front: usize)
    where
        P: Clone,
    {
        for layer in (0..self.layers()).filter(|&layer| layer != front) {
            let (low, high) = self.layers.split_at_mut(front.max(layer));
            let (whole, torn) =
                if front < layer { (&mut low[front], &mut high[0]) } else { (&mut high[0], &mut low[layer]) };
            for (whole, torn) in whole.iter_mut().zip(torn) {
                torn.get_mut().clone_from(whole.get_mut());
            }
        }
    }

    /// One part of one layer, to read.
    ///
    /// # Safety
    ///
    /// Nobody writes that part of that layer as long as the reference lives, and what was written happens before.
    #[allow(unsafe_code)]
    pub(super) unsafe fn read(&self, layer: usize, index: usize) -> &P {
        // SAFETY: by the caller's promise.
        unsafe { self.layers[layer][index].read() }
    }

    /// One part of one layer, to write.
    ///
    /// # Safety
    ///
    /// Nobody else touches that part of that layer as long as the reference lives, and what others did to it happens before.
    #[allow(unsafe_code)]
    #[allow(clippy::mut_from_ref)] // the cell's own kind of access, for which the caller answers
    pub(super) unsafe fn write(&self, layer: usize, index: usize) -> &mut P {
        // SAFETY: by the caller's promise.
        unsafe { self.layers[layer][index].write() }
    }
}

/// The state of all parts, for reading.
pub struct Front<'a, P> {
    buffers: &'a Buffers<P>,
    layer: usize,
    own: usize,
}

impl<P> Clone for Front<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Front<'_, P> {}

impl<'a, P> Front<'a, P> {
    /// The view of member `own` on `layer`.
    ///
    /// # Safety
    ///
    /// Nobody writes that layer as long as `'a` lasts, and what was written happens before.
    #[allow(unsafe_code)]
    pub(super) unsafe fn new(buffers: &'a Buffers<P>, layer: usize, own: usize) -> Self {
        Self { buffers, layer, own }
    }

    /// How many parts there are.
    #[must_use]
    pub fn parts(&self) -> usize {
        self.buffers.parts()
    }

    /// The number of one's own part.
    #[must_use]
    pub fn index(&self) -> usize {
        self.own
    }

    /// One's own part.
    #[must_use]
    pub fn own(&self) -> &'a P {
        self.part(self.own)
    }

    /// Part `index`.
    ///
    /// # Panics
    ///
    /// If there is no such part, as a slice does.
    #[must_use]
    #[allow(unsafe_code)]
    pub fn part(&self, index: usize) -> &'a P {
        // SAFETY: nobody writes the layer while `'a` lasts, as whoever made this has promised.
        unsafe { self.buffers.read(self.layer, index) }
    }

    /// The parts before and behind one's own, in a ring: the last one is before the first.
    #[must_use]
    pub fn neighbours(&self) -> (&'a P, &'a P) {
        let parts = self.parts();
        (self.part((self.own + parts - 1) % parts), self.part((self.own + 1) % parts))
    }

    /// All parts, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a P> + use<'a, P> {
        let front = *self;
        (0..self.parts()).map(move |index| front.part(index))
    }
}

impl<P> fmt::Debug for Front<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("parts", &self.parts()).field("index", &self.own).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_state_before_a_tick_is_never_written() {
        for phases in 1..6 {
            let layers = Buffers::<()>::count(phases);
            for front in 0..layers {
                let mut last = front;
                for phase in 0..phases {
                    let Roles { reads, writes } = Roles::of(front, phase, layers);
                    assert_eq!(reads, last, "a phase reads what the one before has written");
                    assert!(writes != front && writes != reads && writes < layers);
                    last = writes;
                }
            }
        }
    }
}
