//! A failure that nobody looks at would look like success (B24).

#![deny(unused_must_use)]

fn main() {
    let barrier = phalanx::Barrier::new(1).unwrap();
    let mut party = barrier.claim(0).unwrap();
    party.wait();
    party.all_reduce(1_u64, |a, b| a + b);
    phalanx::compat::Barrier::new(1).try_wait();
}
