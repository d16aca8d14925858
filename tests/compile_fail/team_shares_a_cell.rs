//! All members run the closure at once: what it borrows has to be safe to share.

use phalanx::team::Team;
use std::cell::Cell;

fn main() {
    let count = Cell::new(0);
    let team = Team::builder().threads(2).build().unwrap();
    team.run(|_| count.set(count.get() + 1)).unwrap();
}
