//! A value goes to another thread.

use std::rc::Rc;

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    let mut party = barrier.claim(0).unwrap();
    let _ = party.cloning().all_gather(Rc::new(1));
}
