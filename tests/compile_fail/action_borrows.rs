//! An action lives as long as its barrier: it borrows nothing from the stack.

fn main() {
    let mut trips = 0;
    let barrier = phalanx::Barrier::builder(2).action(|_| trips += 1).build().unwrap();
    drop(barrier);
    println!("{trips}");
}
