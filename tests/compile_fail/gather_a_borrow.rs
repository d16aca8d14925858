//! A value may be read when its party has long gone on: it borrows nothing.

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    let mut party = barrier.claim(0).unwrap();
    let numbers = vec![1, 2, 3];
    let _ = party.all_gather(&numbers[..]);
}
