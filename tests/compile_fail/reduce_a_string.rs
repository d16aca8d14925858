//! What is not `Copy` goes by `cloning`.

fn main() {
    let barrier = phalanx::Barrier::new(2).unwrap();
    let mut party = barrier.claim(0).unwrap();
    let _ = party.all_reduce(String::from("a"), |a, b| a + &b);
}
