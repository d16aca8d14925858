//! Two pinned parties cross so many times with a given policy: what `.ci/syscalls` counts the system calls of.
//!
//! ```text
//! cargo run --release --example fast_path -- 200000 spin
//! strace -f -c target/release/examples/fast_path 200000 adaptive
//! ```
//!
//! Starting, pinning, building (with its calibration) and the first trips make system calls; the trips after that must
//! not. So the number of calls of the whole process must not depend on the number of trips.

use phalanx::topology::{Bind, Topology, available_cpus, pin_current, startup_mask};
use phalanx::{Barrier, Party, WaitPolicy};
use std::env;
use std::error::Error;
use std::thread;

/// Trips before those that are asked for: each party's first one notes its thread and CPU.
const WARM: u64 = 1000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Crosses; tells how many trips this party led.
fn cross(mut party: Party, cpu: Option<usize>, trips: u64) -> Outcome<u64> {
    let _pinned = cpu.map(pin_current).transpose()?;
    let mut led = 0;
    for _ in 0..WARM + trips {
        led += u64::from(party.wait()?.is_leader());
    }
    if party.generation() == WARM + trips {
        Ok(led)
    } else {
        Err(format!("rank {} is at generation {}, not {}", party.rank(), party.generation(), WARM + trips).into())
    }
}

fn main() -> Outcome<()> {
    let mut args = env::args().skip(1);
    let trips: u64 = args.next().as_deref().unwrap_or("200000").parse()?;
    let policy: WaitPolicy = args.next().as_deref().unwrap_or("spin").parse()?;
    if startup_mask().len() < 2 || available_cpus() < 2 {
        println!("skipped: two parties that spin need two CPUs");
        return Ok(());
    }
    let places = Topology::detect().place(&Bind::Close, 2, startup_mask())?;
    let barrier = Barrier::builder(2).wait_policy(policy).build()?;
    let threads: Vec<_> = barrier
        .take_parties()?
        .into_iter()
        .zip(places.cpus())
        .map(|(party, cpu)| thread::spawn(move || cross(party, cpu, trips)))
        .collect();
    let mut led = 0;
    for thread in threads {
        led += thread.join().expect("no party panics")?;
    }
    if led != WARM + trips {
        return Err(format!("{led} leaders in {} trips", WARM + trips).into());
    }
    println!("{policy}: {WARM} + {trips} trips by 2 parties, as many leaders");
    Ok(())
}
