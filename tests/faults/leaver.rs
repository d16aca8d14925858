//! A thread that is held up on its way out of a wait, by a signal handler that does not return until it is told to: nobody waits
//! for it but those who need its next arrival (B22; HotSpot's barrier waited for its leavers, JDK-8318986).

use super::common::{patience, scaled, until, watched};
use super::{POLITE, barrier};
use phalanx::{Algorithm, compat};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

static HELD: AtomicBool = AtomicBool::new(false);
static LET_GO: AtomicBool = AtomicBool::new(false);

/// Holds its thread up. What it calls may be called in a handler (`signal-safety(7)`).
extern "C" fn hold(_: libc::c_int) {
    HELD.store(true, SeqCst);
    while !LET_GO.load(SeqCst) {
        // SAFETY: has no arguments.
        unsafe { libc::sched_yield() };
    }
}

/// Holds up the thread of this number, wherever it is; whoever calls this lets it go again by `LET_GO`.
fn hold_up(thread: i32) {
    // SAFETY: all zeroes is a valid `sigaction`: no flags, no mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = hold as *const () as usize;
    // SAFETY: the handler touches atomics and yields.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()) }, 0);
    HELD.store(false, SeqCst);
    LET_GO.store(false, SeqCst);
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGUSR2) }, 0);
    until(|| HELD.load(SeqCst));
}

fn own_thread() -> i32 {
    // SAFETY: has no arguments.
    (unsafe { libc::syscall(libc::SYS_gettid) }) as i32
}

#[test]
fn b22_who_leaves_slowly_blocks_nobody_else() {
    watched("b22", patience(), |watch| {
        for kind in Algorithm::NAMED.into_iter().flat_map(|algorithm| POLITE.map(|policy| (algorithm, policy))) {
            let barrier = barrier(3, kind.0, kind.1);
            let shown = barrier.clone();
            watch.show(move || format!("{kind:?} {shown:?}"));
            let mut parties = barrier.take_parties().unwrap().into_iter();
            let [mut slow, mut second, mut third] = [(); 3].map(|()| parties.next().unwrap());
            let (number, back) = (AtomicI32::new(0), AtomicBool::new(false));
            thread::scope(|scope| {
                let (number, back) = (&number, &back);
                let slow = scope.spawn(move || {
                    number.store(own_thread(), SeqCst);
                    let first = slow.wait().unwrap();
                    back.store(true, SeqCst);
                    (first.generation(), slow.wait().unwrap().generation())
                });
                until(|| barrier.arrived() == 1);
                hold_up(number.load(SeqCst));
                let others = [&mut second, &mut third].map(|party| {
                    scope.spawn(|| (party.wait().unwrap().generation(), party.wait().unwrap().generation()))
                });
                // They have left the trip that the slow one has not left, and are at the next one already.
                until(|| barrier.generation() == 1 && barrier.missing() == [0]);
                assert!(!back.load(SeqCst), "{kind:?}");
                LET_GO.store(true, SeqCst);
                assert_eq!(slow.join().unwrap(), (0, 1));
                for other in others {
                    assert_eq!(other.join().unwrap(), (0, 1));
                }
            });
        }
        watch.forget();
        // Callers without handles need the slow one for nothing at all.
        let (barrier, number, back) = (compat::Barrier::new(2), AtomicI32::new(0), AtomicBool::new(false));
        let trips = scaled(500);
        thread::scope(|scope| {
            let slow = scope.spawn(|| {
                number.store(own_thread(), SeqCst);
                let index = barrier.wait().index();
                back.store(true, SeqCst);
                index
            });
            until(|| barrier.arrived() == 1);
            thread::sleep(Duration::from_millis(1));
            hold_up(number.load(SeqCst));
            assert_eq!(barrier.wait().index(), 1);
            let leads = || (0..trips).filter(|_| barrier.wait().is_leader()).count();
            let other = scope.spawn(leads);
            assert_eq!(leads() + other.join().unwrap(), trips);
            assert!(!back.load(SeqCst));
            LET_GO.store(true, SeqCst);
            assert_eq!(slow.join().unwrap(), 0);
        });
    });
}
