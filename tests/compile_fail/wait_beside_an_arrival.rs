//! Nobody waits for another trip before the one that it has arrived at.

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    let mut party = barrier.claim(0).unwrap();
    let arrival = party.arrive();
    let _ = party.wait();
    let _ = arrival.wait();
}
