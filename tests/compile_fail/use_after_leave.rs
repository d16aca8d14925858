//! Who has left has no handle to wait with.

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    let mut party = barrier.claim(0).unwrap();
    party.leave();
    let _ = party.wait();
}
