//! Storms of every kind over every algorithm and wait policy, for as long as asked, and a scorecard behind them.
//!
//! Time is cut into rounds of a few milliseconds. A round is one barrier (or team) of one kind, algorithm, policy and party
//! count, played by threads that live as long as the program; what all of them saw is compared when it is over. Rounds come in
//! sweeps: each combination of kind, algorithm and policy once, in an order and with party counts drawn by the seed. Between
//! them come longer rounds of plain trips of two parties, which make the number of trips large.
//!
//! | file | what |
//! |---|---|
//! | `cell` | what can be stormed |
//! | `pool` | the threads, and the watchdog over a round |
//! | `plain` | trips on which nothing goes wrong, and `compat` likewise |
//! | `storm`, `profile`, `audit` | parties to which everything happens, how often, and the comparison |
//! | `members`, `compat`, `teams` | joins and leaves; callers without handles; teams and engines |
//! | `score`, `report` | what was seen, and how it is said |
//!
//! It can be wrong itself: docs/verification/soak.md says which planted bugs it finds.

mod audit;
mod cell;
mod compat;
#[path = "../../common/machine.rs"]
#[allow(dead_code)] // it also knows CPU times
mod machine;
mod members;
mod plain;
mod pool;
mod profile;
mod report;
#[path = "../../../tests/common/rng.rs"]
#[allow(dead_code)] // it also knows the seeds of tests
mod rng;
mod score;
mod storm;
mod teams;

use cell::{Cell, Kind};
use clap::Parser;
use pool::{Pool, Trouble};
use rng::Rng;
use score::Score;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Storms of every kind over every algorithm and policy, and a scorecard.
#[derive(Parser)]
struct Arguments {
    /// How long, in minutes.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Each combination of kind, algorithm and policy once, and no longer than that takes.
    #[arg(long)]
    smoke: bool,
    /// Repeats the choices of another run; drawn from the clock unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Writes README.md and soak.json there.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Only storms of these kinds.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Begins with this round of the seed's list; for repeating a failure. (Plain rounds in between are not counted.)
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Seconds that a round may take beyond its time before it counts as a hang.
    #[arg(long, default_value_t = 60)]
    patience: u64,
    /// The share of the time that goes to plain trips of two.
    #[arg(long, default_value_t = 0.5)]
    bulk: f64,
    /// Ends with the first disagreement.
    #[arg(long)]
    first: bool,
}

/// How long a round of a storm lasts, and one of plain trips of two.
const SLICE: Duration = Duration::from_millis(4);
const BULK: Duration = Duration::from_millis(25);

/// One of so many rounds of plain trips lasts so long, for what shows only late in a barrier's life.
const RARE: usize = 16;
const LONG: Duration = Duration::from_secs(1);

/// How often more a sweep goes over what has no algorithm.
const FEW: usize = 4;

/// What a smoke run may take at most, to see all that it has to see.
const SMOKE: Duration = Duration::from_secs(120);

/// Disagreements after which there is no point in going on.
const ENOUGH: u64 = 100;

struct Soak {
    pool: Pool,
    score: Score,
    seed: u64,
    cpus: usize,
    begun: Instant,
    /// Time spent on plain trips of two.
    bulk: Duration,
    reported: Instant,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let kinds: Vec<Kind> = match &arguments.kinds[..] {
        [] => Kind::ALL.to_vec(),
        names => match names.iter().map(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name)).collect() {
            Some(kinds) => kinds,
            None => {
                eprintln!("soak: kinds are {}", Kind::ALL.map(Kind::name).join(", "));
                return ExitCode::from(2);
            }
        },
    };
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64 >> 10);
    let seed = arguments.seed.unwrap_or(clock % 1_000_000_000);
    let machine = machine::Machine::look(command(&arguments, seed), "default");
    println!("soak: seed {seed}");
    let mut soak = Soak {
        pool: Pool::new(Duration::from_secs(arguments.patience)),
        score: Score::default(),
        seed,
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        begun: Instant::now(),
        bulk: Duration::ZERO,
        reported: Instant::now(),
    };
    let hung = soak.go(&arguments, &kinds).is_err();
    soak.score.seconds = soak.begun.elapsed().as_secs_f64();
    let gaps = report::gaps(&soak.score, &kinds);
    let mut facts = machine.facts();
    facts.push(("seed", seed.to_string()));
    let page = report::page(&soak.score, &kinds, &facts, &gaps);
    println!("\n{page}");
    if let Some(folder) = &arguments.out
        && let Err(error) = report::write(folder, &page, &soak.score, &facts)
    {
        eprintln!("soak: {}: {error}", folder.display());
        std::process::exit(1);
    }
    println!("{}", report::line(&soak.score));
    let fine = soak.score.is_clean() && gaps.is_empty() && !hung;
    println!("soak: {}", if fine { "ok" } else { "FAILED" });
    // Threads that hang would be waited for.
    std::process::exit(i32::from(!fine));
}

/// What a stranger can type to do this again; without the folder, which changes nothing.
fn command(arguments: &Arguments, seed: u64) -> String {
    let mut text = String::from("cargo run --release -p phalanx-soak --");
    text += &if arguments.smoke { " --smoke".into() } else { format!(" --minutes {}", arguments.minutes) };
    text += &format!(" --seed {seed}");
    if !arguments.kinds.is_empty() {
        text += &format!(" --kinds {}", arguments.kinds.join(","));
    }
    text
}

impl Soak {
    fn go(&mut self, arguments: &Arguments, kinds: &[Kind]) -> Result<(), ()> {
        let cells: Vec<Cell> = kinds.iter().flat_map(|kind| kind.cells()).collect();
        let plain = Kind::Plain.cells();
        let end = Duration::from_secs_f64(arguments.minutes * 60.0);
        let mut slice = if arguments.smoke { SLICE / 4 } else { SLICE };
        let mut rng = Rng::new(self.seed);
        let (mut number, mut bulk) = (0, 0);
        for sweep in 0.. {
            let mut order = cells.clone();
            // Those without an algorithm or a policy are few.
            let few = |cell: &&Cell| cell.algorithm.is_none();
            (0..FEW).for_each(|_| order.extend(cells.iter().filter(few)));
            // Fisher and Yates.
            for place in (1..order.len()).rev() {
                order.swap(place, rng.below(place as u64 + 1) as usize);
            }
            for cell in order {
                let cell = cell.sized(&mut rng, self.cpus);
                let seed = rng.next();
                number += 1;
                if number <= arguments.from {
                    continue;
                }
                self.round(&cell, number - 1, seed, slice)?;
                if self.score.disagreements >= if arguments.first { 1 } else { ENOUGH } {
                    return Ok(());
                }
                while !arguments.smoke && self.bulk < self.begun.elapsed().mul_f64(arguments.bulk) {
                    let begun = Instant::now();
                    let cell = plain[bulk % plain.len()];
                    bulk += 1;
                    let slice = if bulk % RARE == 0 { LONG } else { BULK };
                    self.round(&cell, number - 1, plain::mix(seed, bulk as u64), slice)?;
                    self.bulk += begun.elapsed();
                }
                // Each combination once, however long that takes.
                let time_up = self.begun.elapsed() >= if arguments.smoke { SMOKE } else { end };
                let seen = arguments.smoke && number % 16 == 0 && report::gaps(&self.score, kinds).is_empty();
                if sweep > 0 && (time_up || seen) {
                    return Ok(());
                }
            }
            let seen = arguments.smoke && report::gaps(&self.score, kinds).is_empty();
            if seen || (!arguments.smoke && self.begun.elapsed() >= end) {
                return Ok(());
            }
            // On a machine that is busy some have not made a trip in so short a time.
            slice = if arguments.smoke { slice * 2 } else { slice };
        }
        Ok(())
    }

    /// One round; an error if it hangs.
    fn round(&mut self, cell: &Cell, number: u64, seed: u64, slice: Duration) -> Result<(), ()> {
        let (before, score) = (self.score.disagreements, &mut self.score);
        score.begin(cell);
        let terms = (seed, slice, self.cpus);
        let ended = match cell.kind {
            Kind::Plain | Kind::Compat => plain::play(&self.pool, cell, terms, score),
            Kind::Members => members::play(&self.pool, cell, terms, score),
            Kind::CompatFaults => compat::play(&self.pool, cell, terms, score),
            Kind::Team | Kind::Lockstep => teams::play(&self.pool, cell, terms, score),
            _ => storm::play(&self.pool, cell, terms, score),
        };
        if let Err(Trouble::Panic(text)) = &ended {
            score.fault(format!("{cell}: {text}"));
        }
        if let Err(Trouble::Hang(text)) = &ended {
            score.hangs += 1;
            eprintln!("HANG {cell}\n  {text}");
        }
        score.seconds = self.begun.elapsed().as_secs_f64();
        if score.disagreements > before || score.hangs > 0 {
            eprintln!("  in round {number} (seed {seed}) at {:.1} s; soak --seed {}", score.seconds, self.seed);
        }
        if self.reported.elapsed() >= Duration::from_secs(60) {
            self.reported = Instant::now();
            println!("{}", report::line(score));
        }
        if matches!(ended, Err(Trouble::Hang(_))) { Err(()) } else { Ok(()) }
    }
}
