//! What the model says of one machine: every algorithm, and `Auto`, for each number of parties.

use crate::machine::{Fallible, Machine};
use phalanx::model::{Constants, Hops, Prediction};
use phalanx::topology::{Bind, Placement};
use phalanx::{Algorithm, Recommendation};
use std::fmt;

/// The numbers of parties of a table, as far as the machine has CPUs.
const PARTIES: [usize; 15] = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];

/// A prediction in whole nanoseconds: what is compared is what is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub together: u64,
    pub straggler: u64,
}

impl From<Prediction> for Cost {
    fn from(Prediction { together, straggler }: Prediction) -> Self {
        Self { together: together.round() as u64, straggler: straggler.round() as u64 }
    }
}

impl Cost {
    /// What `Auto` goes by: the mean of both, twice.
    pub fn both(&self) -> u64 {
        self.together + self.straggler
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.together, self.straggler)
    }
}

/// What `Auto` takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    pub algorithm: Algorithm,
    pub group: Option<usize>,
    pub cost: Cost,
}

impl From<Recommendation> for Pick {
    fn from(it: Recommendation) -> Self {
        Self { algorithm: it.algorithm, group: it.group_size, cost: it.prediction.into() }
    }
}

/// The algorithm, with the size of its groups if it has such.
impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.algorithm)?;
        self.group.map_or(Ok(()), |group| write!(f, " ({group})"))
    }
}

/// One row of a table.
pub struct Row {
    pub parties: usize,
    /// In the order of [`Algorithm::NAMED`].
    pub costs: Vec<Cost>,
    pub auto: Pick,
}

/// `Auto` for one number of parties: told what hops cost, and guessing it.
pub struct Choice {
    pub parties: usize,
    pub told: Pick,
    pub guessed: Pick,
    /// What the guessed algorithm costs, with the best size of groups.
    pub guess_costs: Cost,
}

/// A machine with all that is said of it.
pub struct Forecast {
    pub machine: Machine,
    pub rows: Vec<Row>,
    /// For every number of parties from 2 to as many as there are CPUs, or the largest of the table.
    pub choices: Vec<Choice>,
}

impl Forecast {
    pub fn new(machine: Machine) -> Fallible<Self> {
        let counts: Vec<usize> = PARTIES.into_iter().filter(|&parties| parties <= machine.cpus()).collect();
        let most = counts.last().copied().unwrap_or(0);
        let rows = counts.into_iter().map(|parties| row(&machine, parties)).collect::<Fallible<_>>()?;
        let choices = (2..=most).map(|parties| choice(&machine, parties)).collect::<Fallible<_>>()?;
        Ok(Self { machine, rows, choices })
    }

    pub fn row(&self, parties: usize) -> Option<&Row> {
        self.rows.iter().find(|row| row.parties == parties)
    }
}

/// What `Auto` takes on `machine`.
pub fn pick(machine: &Machine, bind: &Bind, parties: usize) -> Fallible<Pick> {
    let placement = machine.place(bind, parties)?;
    recommend(Algorithm::Auto, &placement, &machine.hops(&placement)?)
}

fn recommend(wish: Algorithm, placement: &Placement, hops: &Hops) -> Fallible<Pick> {
    let none = || format!("nothing to recommend for {placement}");
    Ok(wish.recommend(placement, hops).ok_or_else(none)?.into())
}

fn predict(algorithm: Algorithm, placement: &Placement, hops: &Hops) -> Fallible<Cost> {
    let none = || format!("no prediction of {algorithm} for {placement}");
    Ok(algorithm.predict(placement, hops, &Constants::default()).ok_or_else(none)?.into())
}

fn row(machine: &Machine, parties: usize) -> Fallible<Row> {
    let placement = machine.place(&Bind::Close, parties)?;
    let hops = machine.hops(&placement)?;
    let costs = Algorithm::NAMED.into_iter().map(|algorithm| predict(algorithm, &placement, &hops));
    let costs = costs.collect::<Fallible<_>>()?;
    Ok(Row { parties, costs, auto: recommend(Algorithm::Auto, &placement, &hops)? })
}

fn choice(machine: &Machine, parties: usize) -> Fallible<Choice> {
    let placement = machine.place(&Bind::Close, parties)?;
    let hops = machine.hops(&placement)?;
    let told = recommend(Algorithm::Auto, &placement, &hops)?;
    let guessed = recommend(Algorithm::Auto, &placement, &machine.guess(&placement))?;
    let same = (told.algorithm, told.group) == (guessed.algorithm, guessed.group);
    let guess_costs = if same { told.cost } else { predict(guessed.algorithm, &placement, &hops)? };
    Ok(Choice { parties, told, guessed, guess_costs })
}
