//! A rank has one handle.

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    let party = barrier.claim(0).unwrap();
    let _ = party.clone();
}
