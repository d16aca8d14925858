//! What the system knows of a thread of this process: whether it runs, and if not, where it sleeps.
//!
//! Everything comes from `/proc/self/task/TID` (Linux): `stat` (proc_pid_stat(5)), `schedstat` (time on a CPU and time of
//! wanting one, in nanoseconds), `wchan`, `syscall` and `stack` (each where the kernel and the user's rights allow). One look
//! says little: a thread that is runnable may have no CPU. So there are two, some time apart, and what counts is what has
//! changed between them.

use std::fmt;
use std::time::Duration;

/// What a thread is doing, as the system sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ThreadState {
    /// It uses a CPU.
    Running,
    /// It wants a CPU, and got little or nothing of one while it was watched.
    Starved,
    /// It sleeps, in a system call that can be interrupted.
    Sleeping,
    /// It sleeps where it cannot be interrupted: a disk, a network file system, a page that is swapped in.
    Blocked,
    /// Somebody has stopped it: a debugger, `SIGSTOP`.
    Stopped,
    /// It has ended.
    Gone,
    /// This system does not say, or the thread has not said which one it is.
    Unknown,
}

impl fmt::Display for ThreadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Starved => "wants a CPU and gets none",
            Self::Sleeping => "asleep",
            Self::Blocked => "asleep for a device",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
            Self::Unknown => "state unknown",
        })
    }
}

/// Where a thread sleeps, as far as the kernel tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asleep {
    pub(super) call: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) stack: Vec<String>,
}

impl Asleep {
    /// The system call that it is in: `futex` for locks, condition variables, joins and parking.
    #[must_use]
    pub fn call(&self) -> Option<&str> {
        self.call.as_deref()
    }

    /// The kernel's function that it sleeps in (`wchan`).
    #[must_use]
    pub fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    /// The kernel's functions on its stack, innermost first; none without the right to see them (`CAP_SYS_ADMIN`).
    #[must_use]
    pub fn stack(&self) -> &[String] {
        &self.stack
    }
}

/// One look at `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Field 3.
    state: u8,
    /// Fields 14 and 15, in clock ticks.
    ticks: u64,
    /// Field 22: when it was started, in clock ticks since the machine was. Tells it from a later one with the same number.
    start: u64,
    /// Field 39.
    cpu: usize,
}

#[cfg(any(test, phalanx_fuzz))]
impl Stat {
    /// State, ticks, start and CPU.
    pub(super) fn parts(&self) -> (u8, u64, u64, usize) {
        (self.state, self.ticks, self.start, self.cpu)
    }
}

/// Reads the line of `/proc/self/task/TID/stat`. The second field, the name, may hold anything, parentheses, spaces, line
/// ends and what is no UTF-8; no field behind it holds a parenthesis.
pub(super) fn parse_stat(line: &[u8]) -> Option<Stat> {
    let name_ends = line.iter().rposition(|&byte| byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(&line[name_ends + 1..]).ok()?.split_ascii_whitespace().collect();
    // The first one is field 3.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let &[state] = fields.first()?.as_bytes() else { return None };
    Some(Stat {
        state,
        ticks: number(14)?.wrapping_add(number(15)?),
        start: number(22)?,
        cpu: usize::try_from(number(39)?).ok()?,
    })
}

/// Reads `/proc/self/task/TID/schedstat`: nanoseconds on a CPU, nanoseconds of wanting one.
pub(super) fn parse_schedstat(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_ascii_whitespace().map(str::parse::<u64>);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}

/// One look at a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    stat: Stat,
    /// Nanoseconds on a CPU, and of wanting one.
    spent: Option<(u64, u64)>,
}

impl Look {
    /// `None`: there is no such thread.
    pub(super) fn at(thread: u32) -> Option<Self> {
        let stat = parse_stat(&read(thread, "stat")?)?;
        let schedstat = read(thread, "schedstat").and_then(|bytes| String::from_utf8(bytes).ok());
        Some(Self { stat, spent: schedstat.as_deref().and_then(parse_schedstat) })
    }

    pub(super) fn cpu(&self) -> usize {
        self.stat.cpu
    }

    /// A look at what the files said.
    #[cfg(any(test, phalanx_fuzz))]
    pub(super) fn of(stat: Stat, spent: Option<(u64, u64)>) -> Option<Self> {
        Some(Self { stat, spent })
    }

    fn is_runnable(&self) -> bool {
        self.stat.state == b'R'
    }

    fn has_ended(&self) -> bool {
        matches!(self.stat.state, b'X' | b'x' | b'Z')
    }

    /// Whether it has used a CPU since the look `before`.
    fn has_run_since(&self, before: &Self) -> bool {
        self.stat.ticks != before.stat.ticks
            || self.spent.zip(before.spent).is_some_and(|(after, before)| after.0 != before.0)
    }

    /// Whether a further look is worth its time: a thread that is runnable may be about to get its CPU.
    pub(super) fn is_open_since(&self, before: &Self) -> bool {
        self.is_runnable() && !self.has_run_since(before)
    }
}

/// What two looks come to. `start`: when the thread that is meant was started, if that is known.
pub(super) fn classify(before: Option<&Look>, after: Option<&Look>, start: Option<u64>) -> ThreadState {
    let (Some(before), Some(after)) = (before, after) else { return ThreadState::Gone };
    if after.has_ended() || after.stat.start != start.unwrap_or(before.stat.start) {
        return ThreadState::Gone;
    }
    match after.stat.state {
        b'T' | b't' => ThreadState::Stopped,
        b'D' if !after.has_run_since(before) => ThreadState::Blocked,
        b'R' => {
            let starved = match after.spent.zip(before.spent) {
                // Of the time that it was runnable it had less than a quarter.
                Some((after, before)) => {
                    let (ran, wanted) = (after.0.wrapping_sub(before.0), after.1.wrapping_sub(before.1));
                    wanted > ran.saturating_mul(3)
                }
                None => false,
            };
            if starved || !after.has_run_since(before) { ThreadState::Starved } else { ThreadState::Running }
        }
        _ if before.is_runnable() && after.has_run_since(before) => ThreadState::Running,
        _ => ThreadState::Sleeping,
    }
}

/// How long to wait between two looks, and how many more there are at most while somebody is about to get a CPU. A running
/// thread's time is brought up to date by the timer tick, every 1 to 10 ms.
pub(super) const APART: Duration = Duration::from_millis(12);
pub(super) const MOST_LOOKS: usize = 8;

/// Where a thread sleeps.
pub(super) fn asleep(thread: u32) -> Asleep {
    let text = |file| read(thread, file).and_then(|bytes| String::from_utf8(bytes).ok());
    Asleep {
        call: text("syscall").as_deref().and_then(parse_syscall),
        // "0" where the kernel does not tell.
        channel: text("wchan").filter(|channel| !matches!(channel.trim(), "" | "0")),
        stack: text("stack").map(|stack| parse_stack(&stack)).unwrap_or_default(),
    }
}

/// The name that the kernel has for a thread: 15 bytes of what it was given.
pub(super) fn name(thread: u32) -> Option<String> {
    let mut name = String::from_utf8_lossy(&read(thread, "comm")?).into_owned();
    name.truncate(name.trim_end_matches('\n').len());
    Some(name)
}

/// The name that a thread of this process was given in the system's own way (`pthread_setname_np`), by itself or by the thread that
/// started it; `None` if it is called what the whole program is.
pub(crate) fn given_name(thread: u32) -> Option<String> {
    // A model's threads are all one, and it asks millions of times.
    if cfg!(all(test, any(phalanx_loom, phalanx_shuttle))) {
        return None;
    }
    name(thread).filter(|given| name(std::process::id()).is_none_or(|program| *given != program))
}

/// The system call of `/proc/self/task/TID/syscall`: a number and its arguments, or `running`, or -1.
pub(super) fn parse_syscall(line: &str) -> Option<String> {
    let number: u32 = line.split_ascii_whitespace().next()?.parse().ok()?;
    let name = CALLS.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    Some(name.unwrap_or_else(|| format!("system call {number}")))
}

/// The functions of `/proc/self/task/TID/stack`: `[<0>] function+0x12/0x34` each.
pub(super) fn parse_stack(text: &str) -> Vec<String> {
    let function = |line: &str| Some(line.split_once("] ")?.1.split('+').next()?.trim().to_owned());
    text.lines().filter_map(function).collect()
}

/// Calls that threads sleep in (the kernel's `unistd.h` of each architecture).
const CALLS: &[(u32, &str)] = if cfg!(target_arch = "x86_64") {
    &[
        (0, "read"),
        (1, "write"),
        (7, "poll"),
        (17, "pread64"),
        (18, "pwrite64"),
        (19, "readv"),
        (20, "writev"),
        (23, "select"),
        (34, "pause"),
        (35, "nanosleep"),
        (42, "connect"),
        (43, "accept"),
        (44, "sendto"),
        (45, "recvfrom"),
        (46, "sendmsg"),
        (47, "recvmsg"),
        (61, "wait4"),
        (72, "fcntl"),
        (73, "flock"),
        (74, "fsync"),
        (75, "fdatasync"),
        (128, "rt_sigtimedwait"),
        (130, "rt_sigsuspend"),
        (202, "futex"),
        (208, "io_getevents"),
        (219, "restart_syscall"),
        (230, "clock_nanosleep"),
        (232, "epoll_wait"),
        (247, "waitid"),
        (257, "openat"),
        (270, "pselect6"),
        (271, "ppoll"),
        (281, "epoll_pwait"),
        (288, "accept4"),
        (324, "membarrier"),
        (426, "io_uring_enter"),
        (449, "futex_waitv"),
    ]
} else if cfg!(any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64")) {
    &[
        (4, "io_getevents"),
        (22, "epoll_pwait"),
        (25, "fcntl"),
        (32, "flock"),
        (56, "openat"),
        (63, "read"),
        (64, "write"),
        (65, "readv"),
        (66, "writev"),
        (67, "pread64"),
        (68, "pwrite64"),
        (72, "pselect6"),
        (73, "ppoll"),
        (82, "fsync"),
        (83, "fdatasync"),
        (95, "waitid"),
        (98, "futex"),
        (101, "nanosleep"),
        (115, "clock_nanosleep"),
        (128, "restart_syscall"),
        (133, "rt_sigsuspend"),
        (137, "rt_sigtimedwait"),
        (202, "accept"),
        (203, "connect"),
        (206, "sendto"),
        (207, "recvfrom"),
        (211, "sendmsg"),
        (212, "recvmsg"),
        (242, "accept4"),
        (260, "wait4"),
        (283, "membarrier"),
        (426, "io_uring_enter"),
        (449, "futex_waitv"),
    ]
} else {
    &[]
};

/// When a thread of this process was started, in the system's own measure.
pub(crate) fn started_at(thread: u32) -> Option<u64> {
    Some(parse_stat(&read(thread, "stat")?)?.start)
}

/// The CPU on which a thread of this process last ran.
pub(crate) fn last_cpu(thread: u32) -> Option<usize> {
    Some(parse_stat(&read(thread, "stat")?)?.cpu)
}

#[cfg(all(target_os = "linux", not(miri)))]
fn read(thread: u32, file: &str) -> Option<Vec<u8>> {
    // By whoever is told of a break, in the midst of a wait: not by std's files, which are cancellation points.
    crate::primitive::direct::content(format!("/proc/self/task/{thread}/{file}").as_ref(), usize::MAX)
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn read(_thread: u32, _file: &str) -> Option<Vec<u8>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line as the kernel writes it, for a thread of this name.
    fn line(name: &[u8], state: char) -> Vec<u8> {
        let behind = format!(
            ") {state} 23729 23729 23754 0 -1 4194368 55 0 0 0 70 5 0 0 20 0 1 0 147530 4730880 423 18446744073709551615 \
             94910785187840 94910785977245 140736446841968 0 0 0 0 6 16384 1 0 0 17 3 0 0 0 0 0 94910786210544 0 0 0 0 0 0 0\n"
        );
        [b"23736 (", name, behind.as_bytes()].concat()
    }

    #[test]
    fn a_threads_line_is_read_whatever_its_name_is() {
        let names: &[&[u8]] = &[
            b"worker",
            b"",
            b")",
            b"(((",
            b"a) R 1 2 3 (b",
            b") Z 0 (",
            b"two words",
            b"line\nend",
            b"\xff\xfe)\x80",
            b"\0",
        ];
        for name in names {
            let stat = parse_stat(&line(name, 'S')).unwrap_or_else(|| panic!("{name:?}"));
            assert_eq!(stat, Stat { state: b'S', ticks: 75, start: 147_530, cpu: 3 }, "{name:?}");
        }
    }

    #[test]
    fn garbage_is_no_thread() {
        let whole = line(b"worker", 'R');
        for end in 0..whole.len() {
            let cut = parse_stat(&whole[..end]);
            // A cut within the last field that is needed, or behind it, leaves a number there.
            let fields = whole[..end].iter().filter(|&&byte| byte == b' ').count();
            assert_eq!(cut.is_some(), fields > 38 || (fields == 38 && whole[end - 1] != b' '), "{end}: {cut:?}");
        }
        for garbage in
            [&b""[..], b")", b"()", b"no parenthesis at all", b"1 (a) RS 1 2 3", b"1 (a) R -1 x y z", b"\xff) \xff"]
        {
            assert_eq!(parse_stat(garbage), None);
        }
        assert_eq!(
            parse_stat(&line(b"w", 'S').iter().map(|&b| if b == b'7' { b'x' } else { b }).collect::<Vec<_>>()),
            None
        );
        for garbage in ["", "1", "1 x 3", "-1 2 3", "99999999999999999999999 1 1"] {
            assert_eq!(parse_schedstat(garbage), None, "{garbage}");
        }
        assert_eq!(parse_schedstat("1655685 6601111 4\n"), Some((1_655_685, 6_601_111)));
    }

    fn look(state: char, ran: u64, wanted: u64) -> Look {
        let stat = Stat { state: state as u8, ticks: 0, start: 7, cpu: 0 };
        Look { stat, spent: Some((ran, wanted)) }
    }

    #[test]
    fn two_looks_say_what_a_thread_does() {
        use ThreadState::*;
        let cases = [
            (('R', 0, 0), ('R', 12, 0), Running),
            (('R', 0, 0), ('R', 12, 30), Running),
            (('R', 0, 0), ('R', 0, 0), Starved),
            (('R', 0, 0), ('R', 2, 10), Starved),
            (('S', 0, 0), ('R', 0, 0), Starved),
            (('R', 0, 0), ('S', 5, 0), Running),
            (('R', 0, 0), ('S', 0, 0), Sleeping),
            (('S', 0, 0), ('S', 0, 0), Sleeping),
            // It wakes for a moment now and then.
            (('S', 0, 0), ('S', 3, 0), Sleeping),
            (('D', 0, 0), ('D', 0, 0), Blocked),
            (('S', 0, 0), ('D', 3, 0), Sleeping),
            (('R', 0, 0), ('T', 3, 0), Stopped),
            (('S', 0, 0), ('t', 0, 0), Stopped),
            (('R', 0, 0), ('Z', 3, 0), Gone),
            (('R', 0, 0), ('X', 3, 0), Gone),
            (('I', 0, 0), ('I', 0, 0), Sleeping),
        ];
        for (before, after, state) in cases {
            let [one, two] = [before, after].map(|(state, ran, wanted)| look(state, ran, wanted));
            assert_eq!(classify(Some(&one), Some(&two), Some(7)), state, "{before:?} {after:?}");
            assert_eq!(classify(Some(&one), Some(&two), Some(8)), Gone, "another thread has its number");
        }
        let one = look('S', 0, 0);
        assert_eq!(classify(Some(&one), None, None), Gone);
        assert_eq!(classify(None, Some(&one), None), Gone);
        let reborn = Look { stat: Stat { start: 8, ..one.stat }, ..one };
        assert_eq!(classify(Some(&one), Some(&reborn), None), Gone);
    }

    #[test]
    fn without_schedstat_the_clock_ticks_say_whether_it_ran() {
        let at = |ticks| Look { stat: Stat { state: b'R', ticks, start: 7, cpu: 0 }, spent: None };
        assert_eq!(classify(Some(&at(3)), Some(&at(4)), None), ThreadState::Running);
        assert_eq!(classify(Some(&at(3)), Some(&at(3)), None), ThreadState::Starved);
    }

    #[test]
    fn system_calls_and_stacks_are_read() {
        let futex = CALLS.iter().find(|(_, name)| *name == "futex").map_or(98, |(number, _)| *number);
        let name = if CALLS.is_empty() { "system call 98" } else { "futex" };
        assert_eq!(parse_syscall(&format!("{futex} 0x7f 0x80 0x0\n")).as_deref(), Some(name));
        assert_eq!(parse_syscall("4000 0x0").as_deref(), Some("system call 4000"));
        for none in ["", "running\n", "-1 0x7ffd 0x7f00\n"] {
            assert_eq!(parse_syscall(none), None);
        }
        let stack = "[<0>] futex_do_wait+0x38/0x70\n[<0>] __futex_wait+0x91/0x100\nnonsense\n[<0>] 0xffff\n";
        assert_eq!(parse_stack(stack), ["futex_do_wait", "__futex_wait", "0xffff"]);
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn this_thread_is_found_and_one_that_never_was_is_not() {
        let me = crate::primitive::thread_id().unwrap();
        let look = Look::at(me).unwrap();
        assert_eq!(Some(look.stat.start), started_at(me));
        assert!(look.spent.is_some() || !std::path::Path::new("/proc/self/schedstat").exists());
        assert!(name(me).is_some());
        assert_eq!((Look::at(u32::MAX), started_at(u32::MAX), name(u32::MAX)), (None, None, None));
    }
}
