//! System calls that fail on demand: a seccomp filter, written out by hand.

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, c_long, sock_filter, sock_fprog};
use std::io;

/// A call that fails, with the arguments by which it is told from others of its number.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    call: c_long,
    /// Index, value of the low half, and whether it must be that or must not.
    only: Vec<(u32, u32, bool)>,
    errno: i32,
}

const PRIVATE: u32 = libc::FUTEX_PRIVATE_FLAG as u32;

/// Every `call` fails with `errno`.
pub(crate) fn all(call: c_long, errno: i32) -> Rule {
    Rule { call, only: Vec::new(), errno }
}

/// Asks for what is known of a file, beside `statx`.
#[cfg(target_pointer_width = "64")]
pub(crate) const STAT: c_long = libc::SYS_newfstatat;
#[cfg(not(target_pointer_width = "64"))]
pub(crate) const STAT: c_long = libc::SYS_fstatat64;

/// Sleeps as this library makes them: `FUTEX_WAIT` with a time. The C library's own have none, and end the process if they fail;
/// std's are `FUTEX_WAIT_BITSET`.
pub(crate) fn futex_wait(errno: i32) -> Rule {
    Rule { call: libc::SYS_futex, only: vec![(1, libc::FUTEX_WAIT as u32 | PRIVATE, true), (3, 0, false)], errno }
}

/// Wakes as this library makes them: of one less than std's locks wake, whose sleepers would be lost.
pub(crate) fn futex_wake(errno: i32) -> Rule {
    Rule {
        call: libc::SYS_futex,
        only: vec![(1, libc::FUTEX_WAKE as u32 | PRIVATE, true), (2, i32::MAX as u32 - 1, true)],
        errno,
    }
}

/// `MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED`.
pub(crate) fn membarrier_register(errno: i32) -> Rule {
    Rule { call: libc::SYS_membarrier, only: vec![(0, 1 << 4, true)], errno }
}

/// `MEMBARRIER_CMD_PRIVATE_EXPEDITED`.
pub(crate) fn membarrier_expedited(errno: i32) -> Rule {
    Rule { call: libc::SYS_membarrier, only: vec![(0, 1 << 3, true)], errno }
}

impl Rule {
    /// Where the number of the call and its arguments are in what a filter sees.
    const NUMBER: u32 = 0;
    const ARGUMENTS: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

    fn write(&self, program: &mut Vec<sock_filter>) {
        let load = |at| sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: at };
        // Each condition that is not met jumps behind the end of this rule.
        let length = 2 + 2 * self.only.len() + 1;
        let start = program.len();
        let check = |program: &mut Vec<sock_filter>, value, wanted: bool| {
            let away = (length - (program.len() - start) - 1) as u8;
            let (jt, jf) = if wanted { (0, away) } else { (away, 0) };
            program.push(sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt, jf, k: value });
        };
        program.push(load(Self::NUMBER));
        check(program, self.call as u32, true);
        for &(index, value, wanted) in &self.only {
            program.push(load(Self::ARGUMENTS + 8 * index));
            check(program, value, wanted);
        }
        program.push(answer(libc::SECCOMP_RET_ERRNO | self.errno as u32));
        assert_eq!(program.len() - start, length);
    }
}

fn answer(action: u32) -> sock_filter {
    sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k: action }
}

/// From now on these calls fail, in all threads of this process, for good.
pub(crate) fn install(rules: &[Rule]) -> io::Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let mut program = Vec::new();
    rules.iter().for_each(|rule| rule.write(&mut program));
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    let filter = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: plain numbers.
    let outcome = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: `filter` and what it points to live until the call is over; the kernel makes a copy.
    let outcome = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const filter) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes a call that the rule is about, and asserts that it fails as it should: a filter that lets everything pass tests nothing.
pub(crate) fn expect_in_force(rule: &Rule) {
    let word = 0_u32;
    let time = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    let mut arguments = [0_usize; 6];
    for &(index, value, wanted) in &rule.only {
        arguments[index as usize] = if wanted { value as usize } else { (&raw const time).addr() };
    }
    if rule.call == libc::SYS_futex {
        arguments[0] = (&raw const word).addr();
    }
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: refused by the filter. If it is not: a sleep of a nanosecond, a wake of nobody, a fence, or a call with bad pointers.
    let outcome = unsafe { libc::syscall(rule.call, a, b, c, d, e, f) };
    let error = io::Error::last_os_error();
    assert!(outcome == -1 && error.raw_os_error() == Some(rule.errno), "{rule:?}: {outcome}, {error}");
}
