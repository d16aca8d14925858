//! The command line.

use crate::peer::remote::child::Told;
use crate::shape::Mode;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Compares phalanx with the other barriers at hand, in one process, interleaved.
///
/// Ends with 0, or with 1 if a peer broke a barrier's promise; a target that was missed is only reported.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(flatten)]
    effort: Effort,

    /// Only these shapes; may be repeated.
    #[arg(long, value_name = "SHAPE")]
    only: Vec<Shape>,

    /// Party counts of the crowd, such as 3,64.
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(2..=1024))]
    crowd: Vec<u16>,

    /// Party counts of the family where each party has a CPU; by default those of 2,3,4,6,8,12,16 that the affinity mask
    /// has CPUs for.
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(2..=1024))]
    parties: Vec<u16>,

    /// The two CPUs to use; by default the first two of the affinity mask that are no siblings.
    #[arg(long, value_name = "A,B", value_parser = two_cpus)]
    pub cpus: Option<[usize; 2]>,

    /// The folder for report.json, .csv, .md and .html; by default target/versus/<date>-<machine>-<mode>, and nothing after
    /// a smoke run.
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,

    #[command(subcommand)]
    pub child: Option<Child>,
}

#[derive(Args, Debug)]
#[group(multiple = false)]
struct Effort {
    /// Under three minutes altogether, instead of ten or more.
    #[arg(long)]
    quick: bool,

    /// Seconds: a few hundred trips per peer, to check the results alone.
    #[arg(long)]
    smoke: bool,
}

/// What can be done with a report, and what our own child processes run.
#[derive(Debug, Subcommand)]
pub enum Child {
    /// The table of the project's README, from a report; or whether a README has it as it is.
    Headline {
        /// A report.json.
        #[arg(required_unless_present = "check", conflicts_with = "check")]
        report: Option<PathBuf>,
        /// Ends with 1 unless what stands between `<!-- versus: REPORT.json -->` and `<!-- /versus -->` is what that report says.
        #[arg(long, value_name = "README")]
        check: Option<PathBuf>,
    },
    /// Makes report.csv, report.md and report.html again, beside a report.json.
    Render { report: PathBuf },
    #[command(hide = true)]
    Busy {
        #[arg(long)]
        cpu: usize,
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    #[command(hide = true)]
    Remote(Told),
    #[command(hide = true)]
    Many {
        #[arg(long, value_delimiter = ',')]
        on: Vec<usize>,
        #[arg(long)]
        mode: Mode,
    },
    #[command(hide = true)]
    Quota {
        #[arg(long, value_parser = two_cpus)]
        on: [usize; 2],
        #[arg(long)]
        parties: usize,
        #[arg(long)]
        mode: Mode,
        #[arg(long)]
        group: PathBuf,
    },
    #[command(hide = true)]
    Cold {
        #[arg(long, value_parser = two_cpus)]
        on: [usize; 2],
        #[arg(long)]
        peer: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Two parties, everyone together.
    Pair,
    /// Two parties, one late by microseconds.
    Straggler,
    /// More parties than CPUs.
    Crowd,
    /// Two parties and a competing process on each CPU.
    Busy,
    /// Two parties, one late by ten milliseconds.
    Imbalance,
    /// The first trip of a process.
    Cold,
    /// The algorithms among themselves, for two parties, crowds, and many with a CPU each.
    Family,
    /// A closure on all members, again and again: teams, pools, new threads.
    ForkJoin,
    /// What rides on a trip: values, an action, work between arrival and wait.
    Riders,
    /// Two parties, each late by something random.
    Skew,
    /// Two parties with 0, 1, 10, 100 µs of work per phase.
    Work,
    /// Fewer CPUs' worth of time than CPUs, by a control group.
    Quota,
    /// The overheads of the EPCC OpenMP micro-benchmarks.
    Epcc,
}

impl Shape {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "pair",
            Self::Straggler => "straggler",
            Self::Crowd => "crowd",
            Self::Busy => "busy",
            Self::Imbalance => "imbalance",
            Self::Cold => "cold",
            Self::Family => "family",
            Self::ForkJoin => "fork-join",
            Self::Riders => "riders",
            Self::Skew => "skew",
            Self::Work => "work",
            Self::Quota => "quota",
            Self::Epcc => "epcc",
        }
    }
}

impl Cli {
    pub fn mode(&self) -> Mode {
        match self.effort {
            Effort { smoke: true, .. } => Mode::Smoke,
            Effort { quick: true, .. } => Mode::Quick,
            Effort { .. } => Mode::Full,
        }
    }

    pub fn mode_name(&self) -> &'static str {
        self.mode().name()
    }

    /// In the order of the report.
    pub fn shapes(&self) -> Vec<Shape> {
        let wanted = |shape: &&Shape| self.only.is_empty() || self.only.contains(shape);
        Shape::value_variants().iter().filter(wanted).copied().collect()
    }

    /// Of the family's crowds: fewer, for each has all algorithms in it.
    pub fn family_crowd_sizes(&self) -> Vec<usize> {
        match (&*self.crowd, self.mode()) {
            ([], Mode::Smoke) => vec![4, 16],
            ([], Mode::Quick) => vec![4, 16, 64],
            ([], Mode::Full) => vec![4, 8, 16, 64, 256],
            (asked, _) => asked.iter().copied().map(usize::from).collect(),
        }
    }

    /// Counts of parties with a CPU each, of which there are so many.
    pub fn party_counts(&self, cpus: usize) -> Vec<usize> {
        match &*self.parties {
            [] => [2, 3, 4, 6, 8, 12, 16].into_iter().filter(|&parties| parties <= cpus).collect(),
            asked => asked.iter().copied().map(usize::from).collect(),
        }
    }

    /// Of the crowds with luggage.
    pub fn rider_crowd_sizes(&self) -> Vec<usize> {
        match (&*self.crowd, self.mode()) {
            ([], Mode::Smoke) => vec![4, 16],
            ([], _) => vec![4, 16, 64],
            (asked, _) => asked.iter().copied().map(usize::from).collect(),
        }
    }

    pub fn crowd_sizes(&self) -> Vec<usize> {
        match (&*self.crowd, self.mode()) {
            ([], Mode::Smoke) => vec![3, 4, 16],
            // Twice, 4, 16 and 128 times as many as CPUs.
            ([], Mode::Quick) => vec![4, 8, 32, 256],
            ([], Mode::Full) => vec![3, 4, 8, 16, 32, 64, 256],
            (asked, _) => asked.iter().copied().map(usize::from).collect(),
        }
    }
}

fn two_cpus(text: &str) -> Result<[usize; 2], String> {
    let (a, b) = text.split_once(',').ok_or("two CPU numbers with a comma between them")?;
    let number = |text: &str| text.trim().parse().map_err(|e| format!("{text:?}: {e}"));
    Ok([number(a)?, number(b)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn cpus() {
        assert_eq!(two_cpus("0,3"), Ok([0, 3]));
        assert!(two_cpus("1").is_err());
        assert!(two_cpus("a,1").is_err());
    }
}
