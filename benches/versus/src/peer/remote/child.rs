//! The other side: a process that holds one team, and plays what it is told to.

use super::wire::{Command, Reply, receive, send};
use crate::check::Check;
use crate::clock;
use crate::peer::object::{self, Kind, Mpi, What};
use crate::peer::openmp::{Runtime, Team};
use crate::peer::shared::Shared;
use crate::seat::Seat;
use clap::{Args, ValueEnum};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::ffi::c_int;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::atomic::AtomicU64;

/// Whose barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Library {
    Libgomp,
    Libomp,
    Openmpi,
    Mpich,
}

/// What the harness tells its child when it starts it.
#[derive(Args, Clone, Debug)]
pub struct Told {
    #[arg(long)]
    pub library: Library,
    /// By party; a negative one is anywhere.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub cpus: Vec<i32>,
    /// Sums in place of bare trips.
    #[arg(long)]
    pub sums: bool,
    /// The harness's clock, lest each process measures the same; none if it takes no ticks.
    #[arg(long)]
    pub ns_per_tick: Option<f64>,
    /// Where rank 0 of several processes finds the harness.
    #[arg(long)]
    pub socket: Option<String>,
    /// The memory that all ranks share.
    #[arg(long)]
    pub memory: Option<String>,
}

/// The child's program.
pub fn serve(told: &Told) -> Result<(), String> {
    // A stopped process does not see its input end.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| format!("prctl: {e}"))?;
    clock::adopt(told.ns_per_tick);
    let what = if told.sums { What::Reduce } else { What::Trips };
    let kind = match told.library {
        Library::Openmpi => Kind::OpenMpi,
        Library::Mpich => Kind::Mpich,
        Library::Libgomp | Library::Libomp => return threads(told, what),
    };
    object::mpi(kind).and_then(|mpi| rank(told, what, mpi))
}

/// A team of threads: this process is all of it.
fn threads(told: &Told, what: What) -> Result<(), String> {
    let (mut questions, mut answers) = (BufReader::new(io::stdin()), io::stdout());
    let load = if told.library == Library::Libgomp { object::libgomp } else { object::libomp };
    let team = load().and_then(|play| {
        Ok(Team::new(Runtime::OpenMp(play), what, told.cpus.clone(), Shared::private(told.cpus.len())?))
    });
    let mut team = match team {
        Ok(team) => team,
        Err(why) => return send(&mut answers, &Reply::Failed(why)).map_err(|e| e.to_string()),
    };
    let ready = Reply::Ready { pids: team.processes(), version: String::new() };
    let mut reply = ready;
    loop {
        send(&mut answers, &reply).map_err(|e| e.to_string())?;
        match receive(&mut questions).map_err(|e| e.to_string())? {
            None | Some(Command::End) => return Ok(()),
            Some(command) => reply = obey(&mut team, &command),
        }
    }
}

/// One of several processes: rank 0 hears the harness and passes on what it says.
fn rank(told: &Told, what: What, mpi: Mpi) -> Result<(), String> {
    let (mut rank, mut parties, mut version) = (0, 0, [0; 100]);
    // SAFETY: `version` has room for so many bytes, and the numbers are valid for writes.
    unsafe { (mpi.start)(&raw mut rank, &raw mut parties, version.as_mut_ptr(), version.len() as c_int) };
    if parties as usize != told.cpus.len() {
        return Err(format!("rank {rank} of {parties}, and not of {}", told.cpus.len()));
    }
    let path = told.memory.as_deref().ok_or("no memory to share")?;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| format!("{path}: {e}"))?;
    let shared = Shared::of(&file, told.cpus.len())?;
    let mut team = Team::new(Runtime::Mpi(mpi, rank), what, told.cpus.clone(), shared);
    let pids = team.processes();
    let mut harness = if rank == 0 { Some(reach(told.socket.as_deref().ok_or("no socket")?)?) } else { None };
    let version = String::from_utf8_lossy(&version).trim_end_matches('\0').replace(['\n', '\t'], " ");
    let mut reply = Reply::Ready { pids, version };
    loop {
        let mut line = [b'\n'; 512];
        if let Some((questions, answers)) = &mut harness {
            send(answers, &reply).map_err(|e| e.to_string())?;
            let mut text = String::new();
            questions.read_line(&mut text).map_err(|e| e.to_string())?;
            // A command is a few numbers. An empty line is the end.
            line[..text.len()].copy_from_slice(text.as_bytes());
        }
        // SAFETY: all ranks give so many bytes, which rank 0's replace.
        unsafe { (mpi.tell)(line.as_mut_ptr(), line.len() as c_int) };
        match receive(&mut &line[..]) {
            Ok(Some(Command::End)) | Err(_) | Ok(None) => break,
            Ok(Some(command)) => reply = obey(&mut team, &command),
        }
    }
    // SAFETY: the last call, by all ranks.
    unsafe { (mpi.end)() };
    Ok(())
}

type Ends = (Box<dyn BufRead>, Box<dyn Write>);

fn reach(name: &str) -> Result<Ends, String> {
    let address = SocketAddr::from_abstract_name(name).map_err(|e| e.to_string())?;
    let stream = UnixStream::connect_addr(&address).map_err(|e| format!("the harness's socket: {e}"))?;
    let other = stream.try_clone().map_err(|e| e.to_string())?;
    Ok((Box::new(BufReader::new(stream)), Box::new(other)))
}

fn obey(team: &mut Team, command: &Command) -> Reply {
    // A team knows its ranks, and who of them announces the last trip.
    let (rank, nobody) = (0, AtomicU64::new(0));
    match command {
        Command::BackToBack { opening, trips } => Reply::Lap(team.back_to_back(*opening, *trips)),
        Command::Phases { opening, trips, steps } => Reply::Lap(team.phases(*opening, *trips, *steps)),
        Command::Straggle(lateness) => Reply::Walk(team.straggle(rank, lateness)),
        Command::Until { ticks } => Reply::Lap(team.until(rank, *ticks, &nobody)),
        Command::LongWait { trips, work } => Reply::Waits(team.long_wait(rank, *trips, *work)),
        Command::Verified { trips } => {
            let check = Check::new(1);
            team.verified(rank, 0, *trips, &check);
            Reply::Checked(check.take_wrong())
        }
        Command::Regions { cpus, regions } => match team.regions(cpus, *regions) {
            Ok(lap) => Reply::Lap(lap),
            Err(why) => Reply::Failed(why),
        },
        Command::End => Reply::Checked(Vec::new()),
    }
}
