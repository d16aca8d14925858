//! Results go from the members' threads to the caller's.

use phalanx::team::Team;
use std::rc::Rc;

fn main() {
    let team = Team::builder().threads(2).build().unwrap();
    team.run(|m| Rc::new(m.rank())).unwrap();
}
