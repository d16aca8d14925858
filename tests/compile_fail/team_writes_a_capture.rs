//! No member owns what all of them borrow.

use phalanx::team::Team;

fn main() {
    let mut sum = 0;
    let team = Team::builder().threads(2).build().unwrap();
    team.run(|m| sum += m.rank()).unwrap();
}
