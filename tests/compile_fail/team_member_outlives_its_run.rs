//! A member, and what borrows it, is one for the length of a run.

use phalanx::team::Team;

fn main() {
    let team = Team::builder().threads(2).build().unwrap();
    let arrivals = team.run(|m| m.arrive()).unwrap();
    drop(arrivals);
}
