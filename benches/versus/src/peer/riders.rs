//! phalanx with something on board: one entrant per operation, whose every result is checked.
//!
//! What a party brings and what it must get follow from the trip's number and the ranks, as multiples of a half, which
//! an `f64` holds exactly: two additions and a comparison per trip, on the measured path but not on the way of the line.

use super::own;
use crate::seat::{Crossing, Entrant, Role};
use phalanx::{Algorithm, Broken, Party};

/// What this party brings to a trip, and what it must get.
pub struct Due {
    rank: f64,
    parties: f64,
    trip: f64,
    all: f64,
    below: f64,
}

impl Due {
    pub fn new(rank: usize, parties: usize) -> Self {
        let (rank, parties) = (rank as f64, parties as f64);
        // Half of the sums of the ranks: all of them, and those below this one.
        let (all, below) = (0.25 * parties * (parties - 1.0), 0.25 * rank * (rank - 1.0));
        Self { rank, parties, trip: 0.0, all, below }
    }

    /// On to the next trip.
    #[inline(always)]
    pub fn next(&mut self) {
        self.trip += 1.0;
        self.all += self.parties;
        self.below += self.rank;
    }

    /// This party's value.
    #[inline(always)]
    pub fn own(&self) -> f64 {
        self.of(self.rank)
    }

    #[inline(always)]
    pub fn of(&self, rank: f64) -> f64 {
        self.trip + 0.5 * rank
    }

    /// The sum of all values.
    #[inline(always)]
    pub fn all(&self) -> f64 {
        self.all
    }
}

/// An operation that rides on a trip.
pub trait Ride: Default + Send + 'static {
    /// Crosses one; whether the result is what is due.
    fn cross(&mut self, party: &mut Party, due: &Due) -> Result<bool, Broken>;
}

/// A party that does it on every trip.
pub struct Rider<R> {
    party: Party,
    ride: R,
    due: Due,
    wrong: u64,
}

impl<R: Ride> Crossing for Rider<R> {
    const LEADS: bool = false;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.due.next();
        match self.ride.cross(&mut self.party, &self.due) {
            Ok(right) => self.wrong += u64::from(!right),
            Err(broken) => own::fail(&broken),
        }
        false
    }

    fn counted(&self) -> Option<u64> {
        Some(self.party.generation())
    }

    fn wrong(&self) -> Option<String> {
        (self.wrong > 0).then(|| format!("{} trips with a wrong result", self.wrong))
    }
}

/// All parties of a barrier with an algorithm, told where they are if they stay there.
pub fn entrant<R: Ride>(
    name: String,
    role: Role,
    instances: usize,
    (parties, algorithm, pinned): (usize, Algorithm, Option<&[usize]>),
) -> Result<Entrant, String> {
    Entrant::new(name, role, instances, || {
        let all = own::algorithm(parties, algorithm, pinned)?.into_iter();
        let rider = |(rank, own::Own(party)): (usize, _)| {
            let due = Due::new(rank, parties);
            Rider { party, ride: R::default(), due, wrong: 0 }
        };
        Ok(all.enumerate().map(rider).collect())
    })
}

/// `all_reduce` of one word.
#[derive(Default)]
pub struct Sum;
impl Ride for Sum {
    #[inline(always)]
    fn cross(&mut self, party: &mut Party, due: &Due) -> Result<bool, Broken> {
        Ok(party.all_reduce(due.own(), |a, b| a + b)? == due.all)
    }
}

/// `all_reduce` of four words, which are too many for the slot's line.
#[derive(Default)]
pub struct SumOfFour;
impl Ride for SumOfFour {
    #[inline(always)]
    fn cross(&mut self, party: &mut Party, due: &Due) -> Result<bool, Broken> {
        let add = |a: [f64; 4], b: [f64; 4]| [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]];
        Ok(party.all_reduce([due.own(); 4], add)? == [due.all; 4])
    }
}

/// `broadcast` from rank 0.
#[derive(Default)]
pub struct Heard;
impl Ride for Heard {
    #[inline(always)]
    fn cross(&mut self, party: &mut Party, due: &Due) -> Result<bool, Broken> {
        Ok(party.broadcast(0, || due.own())? == due.trip)
    }
}

/// `all_gather_into`.
#[derive(Default)]
pub struct Gathered(Vec<f64>);
impl Ride for Gathered {
    #[inline(always)]
    fn cross(&mut self, party: &mut Party, due: &Due) -> Result<bool, Broken> {
        party.all_gather_into(due.own(), &mut self.0)?;
        let last = due.of(due.parties - 1.0);
        Ok(self.0.first() == Some(&due.trip) && self.0.last() == Some(&last) && self.0.len() as f64 == due.parties)
    }
}

/// `exclusive_scan`.
#[derive(Default)]
pub struct Scanned;
impl Ride for Scanned {
    #[inline(always)]
    fn cross(&mut self, party: &mut Party, due: &Due) -> Result<bool, Broken> {
        Ok(party.exclusive_scan(0.0, due.own(), |a, b| a + b)? == due.below)
    }
}

/// `cloning().all_reduce`: one party works for all.
#[derive(Default)]
pub struct SumByOne;
impl Ride for SumByOne {
    #[inline(always)]
    fn cross(&mut self, party: &mut Party, due: &Due) -> Result<bool, Broken> {
        Ok(party.cloning().all_reduce(due.own(), |a, b| a + b)? == due.all)
    }
}

/// `serial`.
#[derive(Default)]
pub struct Serial;
impl Ride for Serial {
    #[inline(always)]
    fn cross(&mut self, party: &mut Party, due: &Due) -> Result<bool, Broken> {
        Ok(party.serial(|| due.trip)? == due.trip)
    }
}

/// `arrive` and `wait` with nothing in between.
#[derive(Default)]
pub struct Halves;
impl Ride for Halves {
    #[inline(always)]
    fn cross(&mut self, party: &mut Party, _: &Due) -> Result<bool, Broken> {
        let before = party.generation();
        Ok(party.arrive().wait()?.generation() == before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_what_a_loop_finds() {
        for parties in [2, 3, 7] {
            let mut due: Vec<Due> = (0..parties).map(|rank| Due::new(rank, parties)).collect();
            for _ in 0..5 {
                due.iter_mut().for_each(Due::next);
                let own: Vec<f64> = due.iter().map(Due::own).collect();
                for (rank, due) in due.iter().enumerate() {
                    assert_eq!(due.all(), own.iter().sum::<f64>());
                    assert_eq!(due.below, own[..rank].iter().sum::<f64>());
                }
            }
        }
    }
}
