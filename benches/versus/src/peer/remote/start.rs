//! How the other processes are started: our own program once more, or `mpirun` with several of it.

use super::Remote;
use super::child::{Library, Told};
use super::setting::Setting;
use crate::peer::object::Kind;
use crate::peer::shared::Shared;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

impl Told {
    pub fn arguments(&self) -> Vec<String> {
        let library = match self.library {
            Library::Libgomp => "libgomp",
            Library::Libomp => "libomp",
            Library::Openmpi => "openmpi",
            Library::Mpich => "mpich",
        };
        let cpus = self.cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let mut all = vec!["remote".into(), format!("--library={library}"), format!("--cpus={cpus}")];
        all.extend(self.sums.then(|| "--sums".into()));
        all.extend(self.ns_per_tick.map(|ns| format!("--ns-per-tick={ns}")));
        all.extend(self.socket.as_ref().map(|name| format!("--socket={name}")));
        all.extend(self.memory.as_ref().map(|path| format!("--memory={path}")));
        all
    }
}

/// Starts a process that dies with us.
pub fn launch(
    setting: Setting,
    mut command: Command,
    input: Stdio,
    output: Stdio,
    complaints: &File,
) -> Result<Child, String> {
    let complaints = complaints.try_clone().map_err(|e| e.to_string())?;
    command.envs(setting.environment.iter().copied()).stdin(input).stdout(output).stderr(complaints);
    // SAFETY: a system call without memory, between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    command.spawn().map_err(|e| format!("{}: {e}", command.get_program().display()))
}

/// Starts `mpirun` with as many ranks as there are CPUs in the list, and waits for the first of them.
pub fn ranks(setting: Setting, kind: Kind, program: &Path, told: Told, complaints: File) -> Result<Remote, String> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let mut command = Command::new(kind.run()?);
    let name = format!("phalanx-versus-{}-{}", process::id(), NUMBER.fetch_add(1, Relaxed));
    let address = SocketAddr::from_abstract_name(&name).map_err(|e| e.to_string())?;
    let listener = UnixListener::bind_addr(&address).map_err(|e| format!("socket: {e}"))?;
    listener.set_nonblocking(true).map_err(|e| format!("socket: {e}"))?;
    let memory = Shared::file(told.cpus.len())?;
    let path = format!("/proc/{}/fd/{}", process::id(), memory.as_raw_fd());
    let parties = told.cpus.len().to_string();
    let told = Told { socket: Some(name), memory: Some(path), ..told };
    if kind == Kind::OpenMpi {
        // The ranks go to their CPUs by themselves.
        command.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]);
    }
    command.args(["-np", &parties]).arg(program).args(told.arguments());
    let mut process = launch(setting, command, Stdio::null(), Stdio::null(), &complaints)?;
    let first = reached(&listener, &mut process);
    let (questions, answers) = match first.and_then(|stream| Ok((stream.try_clone()?, stream))) {
        Ok((questions, answers)) => (Box::new(questions), Box::new(BufReader::new(answers))),
        Err(why) => {
            let _ = process.kill();
            let _ = process.wait();
            let mut text = String::new();
            let mut complaints = complaints;
            let _ = complaints.rewind().and_then(|()| complaints.read_to_string(&mut text));
            // What `mpirun` adds to the first complaint is a page long.
            let first = text.lines().map(str::trim).find(|line| line.contains(char::is_alphabetic));
            return Err(format!("its ranks did not start ({why}): {}", first.unwrap_or("without a word")));
        }
    };
    let (name, version) = (setting.name, String::new());
    Ok(Remote { name, version, process, players: Vec::new(), questions, answers, complaints })
}

/// Rank 0 has called, unless the job ends or takes too long.
fn reached(listener: &UnixListener, process: &mut Child) -> std::io::Result<UnixStream> {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        if let Some(status) = process.try_wait()? {
            return Err(std::io::Error::other(status.to_string()));
        }
        if Instant::now() > patience {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The first two numbers of the version in what a library says of itself.
pub fn version(text: &str) -> Option<String> {
    let of = |word: &str| {
        let mut numbers = word.trim_start_matches('v').trim_end_matches(',').split('.');
        let (major, minor) = (numbers.next()?.parse::<u32>().ok()?, numbers.next()?.parse::<u32>().ok()?);
        Some(format!("{major}.{minor}"))
    };
    text.split([' ', ':']).find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Child as Ran, Cli};
    use clap::Parser;

    #[test]
    fn the_child_hears_what_it_is_told() {
        let told = Told {
            library: Library::Mpich,
            cpus: vec![-1, 3],
            sums: true,
            ns_per_tick: Some(0.385_061_7),
            socket: Some("name".into()),
            memory: Some("/proc/1/fd/3".into()),
        };
        let heard = Cli::parse_from(std::iter::once("versus".into()).chain(told.arguments())).child;
        let Some(Ran::Remote(heard)) = heard else { panic!("{heard:?}") };
        assert_eq!(format!("{heard:?}"), format!("{told:?}"));
    }

    #[test]
    fn versions() {
        let found =
            ["Open MPI v4.1.4, package: Debian", "MPICH Version:      4.0.2 MPICH Release", "no number"].map(version);
        assert_eq!(found, [Some("4.1".into()), Some("4.0".into()), None]);
    }
}
