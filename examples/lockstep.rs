//! Eight parties in lockstep, one of which fails: by dying, by sleeping, by panicking, by forgetting its handle. Whoever it is
//! and however it goes, within the set time there is a report that names it and the likely cause, and all the others are let
//! go with one and the same error.
//!
//! ```text
//! cargo run --example lockstep                                   # every fault of every rank, and what is found out
//! cargo run --example lockstep -- --fault forget --rank 5        # one of them, with the whole report
//! cargo run --example lockstep -- --after 2000 --fault sleep     # with more patience
//! ```

use clap::{Parser, ValueEnum};
use phalanx::observe::watchdog::{Hint, Report};
use phalanx::{Barrier, Broken, Cause};
use std::hint::black_box;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const PARTIES: usize = 8;

/// Ticks before the fault, so that everybody has been there.
const HEALTHY: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// The thread ends without a word: its handle is neither used nor dropped any more.
    Kill,
    /// It sleeps, and does not come.
    Sleep,
    /// It panics.
    Panic,
    /// It forgets its handle and waits for something else.
    Forget,
}

#[derive(Parser)]
struct Options {
    /// One fault; all unless set
    #[arg(long)]
    fault: Option<Fault>,
    /// Whose fault; everybody's in turn unless set
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..PARTIES as u64))]
    rank: Option<u64>,
    /// Milliseconds until a trip counts as stuck
    #[arg(long, default_value_t = 150)]
    after: u64,
}

/// What came of one fault.
struct Finding {
    /// What was said about it: the watchdog's report, or the error that everybody was told.
    text: String,
    /// The rank that it names, and why.
    rank: usize,
    cause: String,
    /// How long the others had waited by then.
    after: Duration,
    told: Vec<Broken>,
}

impl Fault {
    /// Whether that is what the watchdog should say.
    fn is_explained_by(self, hint: Option<&Hint>) -> bool {
        // Where the kernel tells the call.
        let sleeps_in = |name: &str| match hint {
            Some(Hint::Asleep { call, .. }) => call.as_deref().is_none_or(|call| call == name),
            _ => false,
        };
        match self {
            Self::Kill => matches!(hint, Some(Hint::DeadThread { .. })),
            Self::Sleep => sleeps_in("clock_nanosleep"),
            Self::Forget => sleeps_in("futex"),
            Self::Panic => false,
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let after = Duration::from_millis(options.after);
    let faults = options.fault.map_or_else(|| Fault::value_variants().to_vec(), |fault| vec![fault]);
    let ranks = options.rank.map_or_else(|| (0..PARTIES).collect(), |rank| vec![rank as usize]);
    let alone = faults.len() * ranks.len() == 1;
    // A panic is part of the show.
    std::panic::set_hook(Box::new(|_| {}));
    let mut found = 0;
    for &fault in &faults {
        for &rank in &ranks {
            let finding = suffer(fault, rank, after)?;
            assert_eq!(finding.rank, rank, "{fault:?}: {}", finding.text);
            assert!(finding.told.iter().all(|broken| *broken == finding.told[0]), "all are told the same");
            assert_eq!(finding.told.len(), PARTIES - 1);
            // It is looked at every eighth of the limit; twenty limits are for a machine that has other things to do.
            let in_time = (after..after * 20).contains(&finding.after);
            assert!(fault == Fault::Panic || in_time, "{:?}: {}", finding.after, finding.text);
            found += 1;
            if alone || rank == ranks[0] {
                println!(
                    "{fault:?} of rank {rank}, found out after {:?}:\n{}\n",
                    finding.after,
                    indented(&finding.text)
                );
            } else {
                println!("{fault:?} of rank {rank}: {}", finding.cause);
            }
        }
    }
    println!("{found} faults, {found} found out, by name");
    Ok(())
}

/// Lets `rank` fail in that way, and finds out what can be known.
fn suffer(fault: Fault, rank: usize, after: Duration) -> Result<Finding, Box<dyn std::error::Error>> {
    let (sender, reports) = mpsc::channel::<Report>();
    let barrier = Barrier::builder(PARTIES)
        .name("tick")
        .watchdog(after, move |report| {
            // On a machine that is busy others may be late as well, on any trip: they come.
            let missing: Vec<usize> = report.missing().iter().map(|missing| missing.rank()).collect();
            if report.generation() == HEALTHY && missing == [rank] && fault.is_explained_by(report.hints().first()) {
                // The program is gone if nobody listens.
                let _ = sender.send(report.clone());
                report.break_trip("the watchdog has reported it");
            }
        })
        .build()?;
    let parties = barrier.take_parties()?;
    let (stop, stopped) = mpsc::channel::<()>();
    let mut stopped = Some(stopped);
    thread::scope(|scope| {
        let mut others = Vec::new();
        for mut party in parties {
            let faulty = party.rank() == rank;
            let release = if faulty { stopped.take() } else { None };
            let worker = thread::Builder::new().name(format!("worker-{}", party.rank()));
            let handle = worker.spawn_scoped(scope, move || -> Result<(), Broken> {
                for tick in 0.. {
                    party.set_phase("compute");
                    black_box((0..1_000).sum::<u64>());
                    if let (Some(release), HEALTHY) = (&release, tick) {
                        match fault {
                            Fault::Kill => {
                                std::mem::forget(party);
                                return Ok(());
                            }
                            Fault::Panic => panic!("rank {rank} gives up"),
                            Fault::Forget => {
                                std::mem::forget(party);
                                let _ = release.recv();
                                return Ok(());
                            }
                            // For as long as it takes.
                            Fault::Sleep => {
                                while release.try_recv() == Err(mpsc::TryRecvError::Empty) {
                                    thread::sleep(Duration::from_millis(500));
                                }
                                return Ok(());
                            }
                        }
                    }
                    party.set_phase("exchange");
                    party.wait()?;
                }
                Ok(())
            })?;
            if faulty {
                // It ends when it is told to, or has ended.
                scope.spawn(move || drop(handle.join()));
            } else {
                others.push(handle);
            }
        }
        let told: Vec<Broken> = others.into_iter().filter_map(|other| other.join().ok()?.err()).collect();
        drop(stop);
        let broken = told.first().ok_or("nobody was told of anything")?;
        let finding = match broken.cause() {
            // Nobody has to find that out: the trip breaks by itself.
            Cause::Panicked { rank } => (broken.to_string(), *rank, broken.cause().to_string(), Duration::ZERO),
            _ => {
                let report = reports.recv()?;
                let rank = report.missing()[0].rank();
                (report.to_string(), rank, report.hints()[0].to_string(), report.stuck_for())
            }
        };
        let (text, rank, cause, after) = finding;
        Ok(Finding { text, rank, cause, after, told })
    })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
