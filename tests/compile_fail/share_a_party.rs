//! A party waits where it is owned: two threads that can look at it cannot both arrive with it.

fn wait_with_a_shared(party: &phalanx::Party) {
    let _ = party.wait();
}

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    wait_with_a_shared(&barrier.claim(0).unwrap());
}
