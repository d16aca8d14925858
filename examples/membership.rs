//! A group that changes while it works: two workers join, one leaves, one dies with a task in its hands, and whoever is
//! told first takes the dead one out for all. No task is lost, and none is done twice.
//! (`cargo run --release --example membership`)

use phalanx::{Barrier, Party};
use std::{collections::BTreeMap, error::Error, sync::Mutex, sync::MutexGuard, thread};

struct Pool {
    open: Vec<u64>,
    in_hand: BTreeMap<usize, u64>, // by rank
    done: Vec<u64>,
    over: bool,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { open: vec![], in_hand: BTreeMap::new(), done: vec![], over: false });

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().expect("nobody panics")
}

/// Does one task per trip, until the action has said, to all, that all are done.
fn work<'s>(s: &'s thread::Scope<'s, '_>, mut party: Party, barrier: &'s Barrier) {
    let rank = party.rank();
    while !pool().over && (rank, party.generation()) != (2, 6) {
        let task = pool().open.pop();
        pool().in_hand.extend(task.map(|task| (rank, task)));
        match (rank, party.generation()) {
            (0, 1) => _ = [barrier.join(), barrier.join()].map(|new| s.spawn(|| work(s, new.unwrap(), barrier))),
            (1, 3) => return, // dies: its handle is dropped
            _ => {}
        }
        pool().done.extend(task);
        pool().in_hand.remove(&rank);
        let Err(broken) = party.wait() else { continue };
        let (mut pool, dead) = (pool(), broken.cause().rank().expect("somebody died"));
        if barrier.broken().as_ref() == Some(&broken) {
            println!("{broken}");
            let task = pool.in_hand.remove(&dead);
            pool.open.extend(task);
            barrier.claim(dead).unwrap().leave(); // in its name
            barrier.reset().unwrap();
        }
    }
    party.leave();
}

fn main() -> Result<(), Box<dyn Error>> {
    pool().open = (0..40).collect();
    let look = |pool: &mut Pool| pool.over = pool.open.is_empty() && pool.in_hand.is_empty();
    let barrier = Barrier::builder(3).action(move |_| look(&mut pool())).build()?;
    let parties = barrier.take_parties()?;
    thread::scope(|s| parties.into_iter().for_each(|party| drop(s.spawn(|| work(s, party, &barrier)))));
    pool().done.sort_unstable();
    println!("{} tasks done; all have left: {}", pool().done.len(), barrier.has_ended());
    assert!(pool().done.iter().copied().eq(0..40) && barrier.has_ended());
    Ok(())
}
