//! Values as parties send them, and the operations on them as a script names them. A value is made from one word and
//! says whether it is still whole, so that a torn or mixed one is no value.

use super::common::watch::panic_quietly;
use super::script::{Freight, Op};
use phalanx::{Broken, Party};

/// What a party gets from a trip with luggage, as words; `None` if it gets nothing.
pub(crate) type Got = Option<Vec<u64>>;

/// One party's share in an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) op: Op,
    pub(crate) freight: Freight,
    /// What it brings.
    pub(crate) own: u64,
    /// What a scan starts with.
    pub(crate) init: u64,
    /// Its closure panics.
    pub(crate) panics: bool,
}

/// Neither commutes nor associates: only one order gives the right result.
pub(crate) fn combine(left: u64, right: u64) -> u64 {
    (left.rotate_left(7) ^ right).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

trait Load: Clone + Send + 'static {
    fn new(word: u64) -> Self;
    fn word(&self) -> u64;
}

impl Load for u64 {
    fn new(word: u64) -> Self {
        word
    }

    fn word(&self) -> u64 {
        *self
    }
}

impl<const N: usize> Load for [u64; N] {
    fn new(word: u64) -> Self {
        std::array::from_fn(|at| word.wrapping_add(at as u64))
    }

    fn word(&self) -> u64 {
        assert_eq!(*self, Self::new(self[0]), "torn");
        self[0]
    }
}

impl Load for Vec<u64> {
    fn new(word: u64) -> Self {
        vec![word, !word]
    }

    fn word(&self) -> u64 {
        assert_eq!(self[..], [self[0], !self[0]], "torn");
        self[0]
    }
}

fn operator<T: Load>(panics: bool) -> impl Fn(T, T) -> T {
    move |left, right| {
        if panics {
            panic_quietly();
        }
        T::new(combine(left.word(), right.word()))
    }
}

impl Share {
    /// Crosses the trip.
    pub(crate) fn bring(self, party: &mut Party) -> Result<Got, Broken> {
        match self.freight {
            _ if self.op == Op::Serial => self.serve(party),
            Freight::Word => self.copied::<u64>(party),
            Freight::Line => self.copied::<[u64; 5]>(party),
            Freight::Huge => self.copied::<[u64; 12]>(party),
            Freight::Cloned => self.cloned::<Vec<u64>>(party),
        }
    }

    fn serve(self, party: &mut Party) -> Result<Got, Broken> {
        let section = || if self.panics { panic_quietly() } else { self.own };
        if self.freight == Freight::Cloned {
            return Ok(Some(vec![party.serial(|| vec![section()])?[0]]));
        }
        Ok(Some(vec![party.serial(section)?]))
    }

    fn copied<T: Load + Copy>(self, party: &mut Party) -> Result<Got, Broken> {
        let (own, operator) = (T::new(self.own), operator::<T>(self.panics));
        Ok(match self.op {
            Op::AllReduce => Some(vec![party.all_reduce(own, operator)?.word()]),
            Op::Reduce { to } => party.reduce(to, own, operator)?.map(|value| vec![value.word()]),
            Op::Broadcast { from } => Some(vec![party.broadcast(from, || own)?.word()]),
            Op::AllGather => Some(party.all_gather(own)?.iter().map(T::word).collect()),
            Op::Scan => Some(vec![party.exclusive_scan(T::new(self.init), own, operator)?.word()]),
            Op::Serial => unreachable!("has no value"),
        })
    }

    fn cloned<T: Load>(self, party: &mut Party) -> Result<Got, Broken> {
        let (own, operator) = (T::new(self.own), operator::<T>(self.panics));
        let party = party.cloning();
        Ok(match self.op {
            Op::AllReduce => Some(vec![party.all_reduce(own, operator)?.word()]),
            Op::Reduce { to } => party.reduce(to, own, operator)?.map(|value| vec![value.word()]),
            Op::Broadcast { from } => Some(vec![party.broadcast(from, || own)?.word()]),
            Op::AllGather => Some(party.all_gather(own)?.iter().map(T::word).collect()),
            Op::Scan => Some(vec![party.exclusive_scan(T::new(self.init), own, operator)?.word()]),
            Op::Serial => unreachable!("has no value"),
        })
    }
}

/// What the party at `place` has to get where all are well, given what each of the parties brings, by place; `None` in
/// the outer option where that depends on who does the work.
pub(crate) fn expected(op: Op, shares: &[u64], ranks: &[usize], init: u64, place: usize) -> Option<Got> {
    let total = || shares.iter().copied().reduce(combine).map(|value| vec![value]);
    Some(match op {
        Op::AllReduce => total(),
        Op::Reduce { to } => (ranks[place] == to).then(total).flatten(),
        Op::Broadcast { from } => ranks.iter().position(|&rank| rank == from).map(|place| vec![shares[place]]),
        Op::AllGather => Some(shares.to_vec()),
        Op::Scan => Some(vec![shares[..place].iter().copied().fold(init, combine)]),
        Op::Serial => return None,
    })
}
