//! phalanx's own algorithms against each other, against what `Auto` makes of them, and against peers.
//!
//! Three situations: two parties with a CPU each, more parties than CPUs, and many parties with a CPU each, as far as
//! the machine goes. Which algorithms there are is the library's business: everything here goes by `Algorithm::NAMED`.

pub mod constants;
mod crowd;
pub mod many;
mod two;

use super::{Context, Mode, Series, find, target};
use crate::report::{Section, Sense, Verdict};
use phalanx::Algorithm;

pub fn run(context: &Context, crowd: &[usize], counts: &[usize]) -> Section {
    let mut section = Section::new(
        "family",
        "The algorithms among themselves",
        "Every algorithm that has a name, and `auto`, all with the default wait policy. The best of a table is the algorithm with the least median ratio to the table's reference; `auto` is divided by it round by round.",
    );
    two::run(context, &mut section);
    for &parties in crowd {
        for dealt in context.pick(&[false][..], &[false], &[false, true]) {
            crowd::run(context, parties, *dealt, &mut section);
        }
    }
    many::run(context, counts, &mut section);
    section
}

/// How `Auto` is called in the tables.
fn auto() -> String {
    Algorithm::Auto.to_string()
}

/// The algorithm with a name that does best against a reference.
fn best<'a>(all: &'a [Series], to: &str) -> Option<&'a Series> {
    let to = find(all, to)?;
    let named = Algorithm::NAMED.iter().filter_map(|algorithm| find(all, &algorithm.to_string()));
    named.min_by(|a, b| a.median_over(to).total_cmp(&b.median_over(to)))
}

/// `Auto` must choose about as well as the best could be chosen.
fn auto_over_best(context: &Context, all: &[Series], to: &str, prefix: &str) -> Option<Verdict> {
    let (auto, best) = (auto(), best(all, to)?);
    // Which one is best in a smoke run is nobody's business.
    let name = if context.mode == Mode::Smoke { "it" } else { &best.name };
    let claim = format!("{prefix}{auto} over the best, {name}");
    Some(target(context, all, &claim, (&auto, &best.name), Sense::AtMost, 1.05))
}

/// What the method cannot tell apart: `Auto` divided by itself.
fn noise(all: &[Series], prefix: &str) -> Option<String> {
    let is = find(all, crate::peer::AUTO_AGAIN)?.over(find(all, &auto())?);
    Some(format!(
        "{prefix}auto divided by itself: {:.3} [{:.3}, {:.3}]; a difference smaller than that is noise",
        is.median, is.q1, is.q3
    ))
}

/// Notes who is absent, once.
fn note_absent(section: &mut Section, absent: Vec<String>) {
    for who in absent {
        if !section.absent.contains(&who) {
            section.absent.push(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seat::Role;

    #[test]
    fn the_best_is_the_one_with_the_least_ratio() {
        let series = |name: &str, value: f64| Series { name: name.into(), role: Role::Own, values: vec![Some(value)] };
        let mut all = vec![series("reference", 10.0), series(&auto(), 1.0)];
        all.extend((20..).zip(Algorithm::NAMED).map(|(i, algorithm)| series(&algorithm.to_string(), f64::from(i))));
        assert_eq!(best(&all, "reference").unwrap().name, Algorithm::NAMED[0].to_string());
        assert!(best(&all, "absent").is_none());
    }
}
