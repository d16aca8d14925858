//! Half a trip is seldom what is meant.

#![deny(unused_must_use)]

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    let mut party = barrier.claim(0).unwrap();
    party.arrive();
}
