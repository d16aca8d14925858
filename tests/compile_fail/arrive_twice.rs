//! Nobody arrives twice: an arrival borrows its party.

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    let mut party = barrier.claim(0).unwrap();
    let first = party.arrive();
    let second = party.arrive();
    let _ = (first.wait(), second.wait());
}
