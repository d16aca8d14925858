//! Peers that are played in a process of their own, which stands still between its rounds.
//!
//! Some peers cannot take part in ours. An OpenMP runtime reads its environment once, so that one process can have it in
//! one setting only; the ranks of MPI are processes; and a pool's threads spin for up to a fifth of a second behind a
//! region, on the CPUs of whoever comes next. So the harness starts its own program again ([`child`]), or has `mpirun`
//! start it several times, and asks it for one round at a time ([`wire`]). The other process is stopped (SIGSTOP) except
//! when it plays: all its threads stand still, wherever they were, and go on from there. Nobody has to wait until they
//! sleep, and what they burn behind a round is paid at the start of their own next one, in trips that are not timed.
//!
//! A round's time and usage are taken inside the other process. What it costs to wake it, to ask, and to be answered is
//! in neither.
//!
//! Who is stopped cannot see that its harness has died, so every process here asks the kernel to be killed with its
//! parent.

pub mod child;
mod setting;
mod start;
mod wire;

pub use setting::{ALL, LIBGOMP, LIBOMP, LIBOMP_DIST, Setting};

use super::object::Kind;
use super::regions::Regions;
use crate::check::Check;
use crate::seat::{Card, Entrant, Lap, Role, Seat, Walk};
use crate::shape::imbalance::Waits;
use crate::shape::straggler::Lateness;
use crate::{clock, place, watch};
use child::{Library, Told};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use start::{launch, ranks, version};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use std::{env, thread};
use wire::{Command as Ask, Reply, receive, send};

/// A setting's barrier, with a party on each of these CPUs, or anywhere.
pub fn trips(setting: Setting, cpus: &[Option<usize>]) -> Result<Entrant, String> {
    enter(setting, setting.name.into(), cpus, false)
}

/// Its reduction, which is a sum of one `f64` per party.
pub fn sums(setting: Setting, cpus: &[Option<usize>]) -> Result<Entrant, String> {
    enter(setting, format!("{} reduction", setting.name), cpus, true)
}

/// Starts it, and says why not. It inherits the caller's affinity mask, which must not be that of a single CPU.
fn enter(setting: Setting, name: String, cpus: &[Option<usize>], sums: bool) -> Result<Entrant, String> {
    let each = cpus.len().div_ceil(place::allowed()?.len());
    if let Some((most, why)) = setting.most
        && each > most
    {
        return Err(format!("{name}: {why}"));
    }
    let numbers: Vec<i32> = cpus.iter().map(|cpu| cpu.map_or(-1, |cpu| cpu as i32)).collect();
    let remote = Remote::start(setting, &numbers, sums).map_err(|why| format!("{name}: {why}"))?;
    let name = match version(&remote.version) {
        Some(version) => name.replace(setting.name, &format!("{} {version}", setting.name)),
        None => name,
    };
    let card = Card { name, role: Role::Rival, leads: false, foreign: true, every: 1 };
    // The other ranks' seats are in the other process.
    Ok(Entrant { card, seats: vec![vec![Box::new(remote)]] })
}

/// A peer in another process, or several.
pub struct Remote {
    name: &'static str,
    /// What the library calls itself, if it does.
    version: String,
    /// Our child: the peer itself, or the `mpirun` that watches over its ranks.
    process: Child,
    /// Who plays, and is stopped in between.
    players: Vec<Pid>,
    questions: Box<dyn Write + Send>,
    answers: Box<dyn BufRead + Send>,
    /// What it had to complain about.
    complaints: File,
}

/// The processes that play, so that nobody is left behind when this one gives up.
static PLAYERS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Kills all that are still there.
pub fn end_all() {
    for pid in PLAYERS.lock().expect("nobody panics while holding it").drain(..) {
        // It may have ended on its own.
        let _ = kill_process(pid, Signal::KILL);
    }
}

impl Remote {
    pub fn start(setting: Setting, cpus: &[i32], sums: bool) -> Result<Self, String> {
        watch::progress(setting.name);
        let program = env::current_exe().map_err(|e| e.to_string())?;
        let told = Told {
            library: setting.library,
            cpus: cpus.into(),
            sums,
            ns_per_tick: clock::ns_per_tick(),
            socket: None,
            memory: None,
        };
        let complaints = memfd_create("complaints", MemfdFlags::CLOEXEC).map_err(|e| format!("memfd_create: {e}"))?;
        let complaints = File::from(complaints);
        let kind = match setting.library {
            Library::Openmpi => Some(Kind::OpenMpi),
            Library::Mpich => Some(Kind::Mpich),
            Library::Libgomp | Library::Libomp => None,
        };
        let mut remote = match kind {
            None => {
                let mut command = Command::new(program);
                command.args(told.arguments());
                let mut process = launch(setting, command, Stdio::piped(), Stdio::piped(), &complaints)?;
                let questions = Box::new(process.stdin.take().expect("asked for"));
                let answers = Box::new(BufReader::new(process.stdout.take().expect("asked for")));
                Self {
                    name: setting.name,
                    version: String::new(),
                    process,
                    players: Vec::new(),
                    questions,
                    answers,
                    complaints,
                }
            }
            Some(kind) => ranks(setting, kind, &program, told, complaints)?,
        };
        match receive(&mut remote.answers) {
            Ok(Some(Reply::Ready { pids, version })) => {
                remote.version = version;
                remote.players = pids.iter().filter_map(|&pid| Pid::from_raw(pid as i32)).collect();
                // Threads are all of one process.
                remote.players.dedup();
                PLAYERS.lock().expect("nobody panics while holding it").extend(&remote.players);
            }
            Ok(Some(Reply::Failed(why))) => return Err(why),
            _ => return Err(format!("it did not start: {}", remote.said())),
        }
        if let Some(says) = setting.says
            && !remote.said().contains(says)
        {
            return Err(format!("this version does not know the setting: it does not say {says}"));
        }
        remote.stop();
        Ok(remote)
    }

    /// Regions instead of trips.
    pub fn regions(&mut self, cpus: &[usize], regions: Regions) -> Result<Lap, String> {
        let cpus = cpus.iter().map(|&cpu| cpu as i32).collect();
        match self.ask(&Ask::Regions { cpus, regions }) {
            Reply::Lap(lap) => Ok(lap),
            Reply::Failed(why) => Err(why),
            _ => self.confused(),
        }
    }

    /// One question, for the time of which it runs.
    fn ask(&mut self, what: &Ask) -> Reply {
        self.signal(Signal::CONT);
        let answer = send(&mut self.questions, what).and_then(|()| receive(&mut self.answers));
        match answer {
            Ok(Some(reply)) => {
                self.stop();
                reply
            }
            broken => {
                let said = self.said();
                panic!("{}: it has gone ({:?}): {said}", self.name, broken.err())
            }
        }
    }

    fn signal(&self, signal: Signal) {
        for &pid in &self.players {
            // Who has gone is found out when it does not answer.
            let _ = kill_process(pid, signal);
        }
    }

    /// Returns when none of its threads runs any more.
    fn stop(&self) {
        self.signal(Signal::STOP);
        for &pid in &self.players {
            if pid == Pid::from_child(&self.process) {
                // Reported when the last thread has stopped; or when it has ended, which the next question will find.
                let _ = waitpid(Some(pid), WaitOptions::UNTRACED);
            } else {
                while runs(pid) {
                    thread::yield_now();
                }
            }
        }
    }

    /// What it wrote to its error output.
    fn said(&mut self) -> String {
        let mut text = String::new();
        // Reading moves the place at which the other process writes on, so it only happens before the first and after the
        // last round.
        let _ = self.complaints.rewind().and_then(|()| self.complaints.read_to_string(&mut text));
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
    }

    fn confused<T>(&self) -> T {
        panic!("{}: an answer to another question", self.name)
    }

    fn lap(&mut self, what: &Ask) -> Lap {
        match self.ask(what) {
            Reply::Lap(lap) => lap,
            _ => self.confused(),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        PLAYERS.lock().expect("nobody panics while holding it").retain(|pid| !self.players.contains(pid));
        self.signal(Signal::CONT);
        let asked = send(&mut self.questions, &Ask::End).is_ok();
        // Ranks take leave of each other; killed, they would take their CPU time out of the books.
        let patience = Instant::now() + Duration::from_secs(2);
        while asked && Instant::now() < patience {
            match self.process.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(1)),
                _ => return,
            }
        }
        self.signal(Signal::KILL);
        // It may have ended already; then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Seat for Remote {
    fn frozen(&self) -> bool {
        true
    }

    fn back_to_back(&mut self, opening: u64, trips: u64) -> Lap {
        self.lap(&Ask::BackToBack { opening, trips })
    }

    fn phases(&mut self, opening: u64, trips: u64, steps: u64) -> Lap {
        self.lap(&Ask::Phases { opening, trips, steps })
    }

    fn straggle(&mut self, _: usize, lateness: &Lateness) -> Walk {
        match self.ask(&Ask::Straggle(*lateness)) {
            Reply::Walk(walk) => walk,
            _ => self.confused(),
        }
    }

    fn until(&mut self, _: usize, ticks: u64, _: &AtomicU64) -> Lap {
        self.lap(&Ask::Until { ticks })
    }

    fn long_wait(&mut self, _: usize, trips: u64, work: Duration) -> Waits {
        match self.ask(&Ask::LongWait { trips, work }) {
            Reply::Waits(waits) => waits,
            _ => self.confused(),
        }
    }

    fn verified(&mut self, _: usize, _: u64, trips: u64, check: &Check) {
        match self.ask(&Ask::Verified { trips }) {
            Reply::Checked(wrong) => wrong.into_iter().for_each(|what| check.report(what)),
            _ => self.confused(),
        }
    }
}

/// Any thread of it has yet to stop.
fn runs(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()));
    threads.into_iter().flatten().flatten().any(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which may have brackets in it. Who has gone has none.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['T', 't', 'Z', 'X']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_stopped_does_not_run() {
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let pid = Pid::from_child(&busy);
        assert!(runs(pid));
        kill_process(pid, Signal::STOP).unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while runs(pid) && Instant::now() < patience {
            thread::yield_now();
        }
        let stopped = !runs(pid);
        kill_process(pid, Signal::CONT).unwrap();
        let again = runs(pid);
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(stopped && again && !runs(pid));
    }
}
