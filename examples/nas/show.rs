//! What the NAS kernels have in common: their options, and what they print.

use crate::kind::Kind;
use phalanx::topology::{Bind, Topology, available_cpus, pin_current, startup_mask};
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What the members meet at, or rayon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Barrier {
    /// phalanx::Barrier
    Phalanx,
    /// std::sync::Barrier
    Std,
    /// a mutex, a counter and a condition variable, as in the textbooks
    Condvar,
    /// no barrier: a parallel loop of rayon's for each phase
    Rayon,
}

impl Barrier {
    /// `None` for rayon.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Barrier::Phalanx => Some(Kind::Phalanx),
            Barrier::Std => Some(Kind::Std),
            Barrier::Condvar => Some(Kind::Condvar),
            Barrier::Rayon => None,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Threads [default: the CPUs that this process may use]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// What the threads meet at
    #[arg(long, value_enum, default_value_t = Barrier::Phalanx)]
    pub(crate) barrier: Barrier,
    /// Where the threads run
    #[arg(long, default_value = "close")]
    pub(crate) bind: Bind,
}

impl Options {
    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or_else(available_cpus, usize::from)
    }
}

/// A pool of rayon's with its threads where a team's would be.
pub(crate) fn pool(options: &Options) -> Result<rayon::ThreadPool, Box<dyn Error>> {
    let threads = options.threads();
    let placement = Topology::detect().place(&options.bind, threads, startup_mask())?;
    let pin = move |thread: usize| {
        if let Some(cpu) = placement.cpu(thread) {
            // For as long as the thread lives. A system that cannot pin runs it unpinned.
            std::mem::forget(pin_current(cpu.id));
        }
    };
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).start_handler(pin).build()?)
}

/// The options, as the first line of a report has them.
pub(crate) struct Engine<'a>(pub(crate) &'a Options);

impl fmt::Display for Engine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = self.0.threads();
        match self.0.barrier.kind() {
            Some(kind) => write!(f, "{threads} members at a {kind} barrier, bind {}", self.0.bind),
            None => write!(f, "{threads} threads of rayon's, bind {}", self.0.bind),
        }
    }
}

/// One run of a kernel.
pub(crate) struct Run<'a> {
    pub(crate) engine: Engine<'a>,
    pub(crate) elapsed: Duration,
    /// As the benchmark counts them.
    pub(crate) operations: f64,
    /// By rank; nothing for rayon.
    pub(crate) waited: Vec<Duration>,
}

impl Run<'_> {
    pub(crate) fn print(&self) {
        let seconds = self.elapsed.as_secs_f64();
        println!("on          {}", self.engine);
        println!("time        {seconds:.4} s, {:.0} Mop/s", self.operations / seconds / 1e6);
        for (rank, waited) in self.waited.iter().enumerate() {
            let waited = waited.as_secs_f64();
            println!("waiting     rank {rank:>3} {waited:>9.4} s  {:>5.1} %", 100.0 * waited / seconds);
        }
    }
}

pub(crate) fn verified() -> Result<(), Box<dyn Error>> {
    println!("verified");
    Ok(())
}
