//! A member belongs to its thread.

use phalanx::team::Team;

fn main() {
    let team = Team::builder().threads(2).build().unwrap();
    team.run(|m| {
        std::thread::scope(|s| {
            s.spawn(|| m.barrier());
        })
    })
    .unwrap();
}
