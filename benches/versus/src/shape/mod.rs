//! The shapes of waiting, one file each, and what they share: how long, and from laps to rows.

pub mod busy;
pub mod cold;
pub mod crowd;
pub mod epcc;
pub mod family;
pub mod fork_join;
pub mod imbalance;
pub mod pair;
pub mod quota;
pub mod riders;
pub mod skew;
pub mod straggler;
pub mod work;

use crate::length::Length;
use crate::place::Place;
use crate::play::Played;
use crate::report::{Cost, Ratio, Row, Section, Sense, Verdict};
use crate::seat::{Lap, Role};
use crate::stats::{Summary, median, median_ratio, quantiles};
use crate::usage::Usage;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How much time there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// A few hundred trips per peer: are the results right?
    Smoke,
    Quick,
    Full,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }
}

/// What every shape needs to know.
pub struct Context {
    pub place: Place,
    /// All CPUs of the affinity mask that the program was started with.
    pub allowed: Vec<usize>,
    pub mode: Mode,
}

impl Context {
    /// One of three, by mode.
    pub fn pick<T>(&self, smoke: T, quick: T, full: T) -> T {
        match self.mode {
            Mode::Smoke => smoke,
            Mode::Quick => quick,
            Mode::Full => full,
        }
    }

    /// Rounds of so many trips in a smoke run, else of such a time.
    pub fn length(&self, trips: u64, time: Duration, least: u64) -> Length {
        self.pick(Length::Trips(trips), Length::Lasting { time, least }, Length::Lasting { time, least })
    }
}

/// An entrant's values by round; `None` where it sat out.
#[derive(Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    pub role: Role,
    pub values: Vec<Option<f64>>,
}

/// Finds an entrant's series by name.
pub fn find<'a>(all: &'a [Series], name: &str) -> Option<&'a Series> {
    all.iter().find(|series| series.name == name)
}

impl Series {
    /// A value from all parties' samples of each round.
    pub fn of<S>(played: &Played<S>, mut value: impl FnMut(&[S]) -> f64) -> Self {
        Self {
            name: played.name.clone(),
            role: played.role,
            values: played.rounds.iter().map(|round| round.as_deref().map(&mut value)).collect(),
        }
    }

    /// Nanoseconds per trip, by the clock of rank 0.
    pub fn per_trip(played: &Played<Lap>) -> Self {
        Self::of(played, |laps| laps[0].ns / laps[0].trips as f64)
    }

    /// This one divided by the other, round by round.
    pub fn over(&self, other: &Self) -> Summary {
        Summary::of_ratios(&self.values, &other.values)
    }

    /// The median of the same, for those who only want to know which is the least: the interval takes its time.
    pub fn median_over(&self, other: &Self) -> f64 {
        median_ratio(&self.values, &other.values)
    }

    /// Of its values; for plots.
    pub fn quantiles(&self) -> Vec<f64> {
        quantiles(self.values.iter().flatten().copied())
    }

    pub fn summary(&self) -> Summary {
        Summary::of(self.values.iter().flatten().copied())
    }

    /// A row with ratios to the named others.
    pub fn row(&self, all: &[Self], to: &[&str], trips_per_round: u64) -> Row {
        let ratio = |name: &&str| Some(Ratio { to: name.to_string(), is: self.over(find(all, name)?) });
        Row {
            name: self.name.clone(),
            role: format!("{:?}", self.role).to_lowercase(),
            value: self.summary(),
            quantiles: self.quantiles(),
            ratios: to.iter().filter_map(ratio).collect(),
            cost: None,
            predicted: None,
            trips_per_round,
        }
    }
}

/// Rows for a shape that counts time per trip, with CPU time and switches.
pub fn lap_rows(played: &[Played<Lap>], to: &[&str]) -> (Vec<Series>, Vec<Row>) {
    let all: Vec<Series> = played.iter().map(Series::per_trip).collect();
    let rows = all.iter().zip(played).map(|(series, played)| {
        let mut row =
            series.row(&all, to, median(played.rounds.iter().flatten().map(|laps| laps[0].trips as f64)) as u64);
        row.cost = Some(cost(played, |lap| (lap.usage, lap.all_trips as f64)));
        row
    });
    let rows = rows.collect();
    (all, rows)
}

/// CPU time and switches of all parties together: the former as the median of the rounds, the latter, which are rare,
/// over all of them.
///
/// `spent` says of one party's round what it used and on how many trips.
pub fn cost<S>(played: &Played<S>, spent: impl Fn(&S) -> (Usage, f64)) -> Cost {
    let sum = |parties: &Vec<S>| {
        let usage = parties.iter().fold(Usage::default(), |sum, party| sum.plus(spent(party).0));
        (usage, spent(&parties[0]).1)
    };
    let sums: Vec<(Usage, f64)> = played.rounds.iter().flatten().map(sum).collect();
    let trips: f64 = sums.iter().map(|(_, trips)| trips).sum();
    let total = sums.iter().fold(Usage::default(), |sum, (usage, _)| sum.plus(*usage));
    Cost {
        cpu_ns: median(sums.iter().map(|(usage, trips)| usage.cpu_ns as f64 / trips)),
        voluntary: total.voluntary as f64 / trips,
        involuntary: total.involuntary as f64 / trips,
    }
}

/// A target on `name` divided by `by`; open if either is absent, or if nothing was measured.
pub fn target(
    context: &Context,
    all: &[Series],
    claim: &str,
    (name, by): (&str, &str),
    sense: Sense,
    limit: f64,
) -> Verdict {
    let measured = || Some(find(all, name)?.over(find(all, by)?));
    let measured = if context.mode == Mode::Smoke { None } else { measured() };
    Verdict::new(claim, measured, sense, limit)
}

/// The name of the fastest floor in the match.
pub fn floor_of(all: &[Series]) -> String {
    let floors = all.iter().filter(|series| series.role == Role::Floor);
    let fastest = floors.min_by(|a, b| a.summary().median.total_cmp(&b.summary().median));
    fastest.map(|series| series.name.clone()).unwrap_or_default()
}

/// phalanx must be faster than every rival of the match: judged by the one that comes closest.
pub fn ahead_of_all(context: &Context, all: &[Series], prefix: &str) -> Option<Verdict> {
    ahead_of(context, all, &format!("{prefix}the closest rival"), |_| true)
}

/// The same among the rivals that `counts` takes; `who` says which they are.
pub fn ahead_of(context: &Context, all: &[Series], who: &str, counts: impl Fn(&Series) -> bool) -> Option<Verdict> {
    let subject = all.iter().find(|series| series.role == Role::Subject)?;
    let rivals = all.iter().filter(|series| series.role == Role::Rival && counts(series));
    let closest = rivals.min_by(|a, b| a.median_over(subject).total_cmp(&b.median_over(subject)))?;
    let claim = format!("{who}, {}, over {}", closest.name, subject.name);
    Some(target(context, all, &claim, (&closest.name, &subject.name), Sense::Above, 1.0))
}

/// phalanx may burn no more CPU time per trip than libgomp with its defaults; open where that takes no part. `spent` as in
/// [`cost`].
pub fn thrift<S>(
    context: &Context,
    played: &[Played<S>],
    prefix: &str,
    spent: impl Fn(&S) -> (Usage, f64),
) -> Option<Verdict> {
    let burnt = |parties: &[S]| {
        let sum: u64 = parties.iter().map(|party| spent(party).0.cpu_ns).sum();
        sum as f64 / spent(&parties[0]).1
    };
    let all: Vec<Series> = played.iter().map(|peer| Series::of(peer, burnt)).collect();
    let subject = all.iter().find(|series| series.role == Role::Subject)?;
    let libgomp = all.iter().find(|series| series.name.starts_with("libgomp"))?;
    let claim = format!("{prefix}CPU time of {} over that of {}", subject.name, libgomp.name);
    Some(target(context, &all, &claim, (&subject.name, &libgomp.name), Sense::AtMost, 1.0))
}

/// [`thrift`] for laps.
pub fn thrift_of_laps(context: &Context, played: &[Played<Lap>], prefix: &str) -> Option<Verdict> {
    thrift(context, played, prefix, |lap| (lap.usage, lap.all_trips as f64))
}

/// Adds what the checks found.
pub fn note_wrong<S>(section: &mut Section, played: &[Played<S>]) {
    for peer in played {
        section.wrong.extend(peer.wrong.iter().map(|what| format!("{}: {what}", peer.name)));
    }
}
