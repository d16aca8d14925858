//! What is simulated: the user's side of the engine.

use super::buffers::Front;
use super::error::Fault;

/// A simulation that is divided into parts, one for each member, and goes on in ticks.
///
/// In a tick each member makes the next state of its own part out of the present state of all parts: it reads the front and
/// writes its own place in the back. Both are safe references, and nothing is locked: the engine swaps front and back
/// behind a barrier trip, at which everybody has written.
///
/// # Examples
///
/// A row of cells, each of which takes the sum of its two neighbours, modulo 97:
///
/// ```
/// use phalanx::team::Team;
/// use phalanx::team::lockstep::{At, Fault, Front, Lockstep, Stop, World};
///
/// struct Row(usize);
///
/// impl World for Row {
///     type Part = Vec<u64>;
///     type Measure = u64;
///
///     fn part(&self, index: usize, parts: usize) -> Vec<u64> {
///         let cells = index * self.0 / parts..(index + 1) * self.0 / parts;
///         cells.map(|cell| u64::from(cell == 0)).collect()
///     }
///
///     fn step(&self, _: At, front: Front<'_, Vec<u64>>, back: &mut Vec<u64>) -> Result<(), Fault> {
///         let (before, after) = front.neighbours();
///         let (own, first, last) = (front.own(), before.last().unwrap(), after.first().unwrap());
///         for (i, cell) in back.iter_mut().enumerate() {
///             let left = if i == 0 { first } else { &own[i - 1] };
///             *cell = (left + own.get(i + 1).unwrap_or(last)) % 97;
///         }
///         Ok(())
///     }
///
///     fn measure(&self, part: &Vec<u64>) -> u64 {
///         part.iter().sum()
///     }
///
///     fn combine(&self, a: u64, b: u64) -> u64 {
///         a + b
///     }
/// }
///
/// let team = Team::builder().threads(2).build()?;
/// let mut row = Lockstep::builder(Row(8)).build(&team)?;
/// let report = row.run(Stop::after(3))?;
/// assert_eq!((report.ticks(), row.tick()), (3, 3));
/// assert_eq!(row.parts().flatten().copied().collect::<Vec<_>>(), [0, 3, 0, 1, 0, 1, 0, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait World: Sync {
    /// One member's part of the state. Cloned when the engine is built, for the second buffer, and to mend a part that a
    /// failed tick has left half written; never in the normal course.
    type Part: Clone + Send + Sync;

    /// What all parts are reduced to, for a condition to stop on and for the observer: a residual, a population. `()` if
    /// there is no such thing.
    type Measure: Copy + Send + 'static;

    /// Makes the part of member `index` of `parts`, as it is before the first tick. Called by that member's thread, so that
    /// its memory is near.
    fn part(&self, index: usize, parts: usize) -> Self::Part;

    /// How many phases a tick has, each with a trip of its own: phase p reads what phase p - 1 has written. At least 1.
    fn phases(&self) -> usize {
        1
    }

    /// How many ticks a part can go on alone, from one trip to the next, because it keeps a halo of its neighbours' cells.
    /// The most that [`Builder::ticks_per_trip`](super::Builder::ticks_per_trip) may be.
    fn halo(&self) -> u64 {
        1
    }

    /// Makes the next state of part `at.index`: of phase `at.phase` of the tick behind `at.tick`, or of `at.ticks` ticks.
    ///
    /// What is in `back` before is the part's state of an earlier tick, or of this one: not to be relied upon, but there to
    /// be written over. All of it must be.
    ///
    /// # Errors
    ///
    /// A [`Fault`], and the tick has failed for all: everybody's state is the one before it. So it is after a panic.
    fn step(&self, at: At, front: Front<'_, Self::Part>, back: &mut Self::Part) -> Result<(), Fault>;

    /// Measures one part.
    fn measure(&self, part: &Self::Part) -> Self::Measure;

    /// Combines two measures; applied from left to right in the order of the parts, so that sums of floats have the same bits
    /// on every run. Members combine each for itself, so it has to be a function of its operands alone; if it panics, the run
    /// fails behind that tick.
    fn combine(&self, a: Self::Measure, b: Self::Measure) -> Self::Measure;
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct At {
    /// How many ticks are complete.
    pub tick: u64,
    /// How many to do in this step: 1, or up to [`Builder::ticks_per_trip`](super::Builder::ticks_per_trip).
    pub ticks: u64,
    /// The phase, from 0.
    pub phase: usize,
    /// The part to write.
    pub index: usize,
    /// How many parts there are.
    pub parts: usize,
}
