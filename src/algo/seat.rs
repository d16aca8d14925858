//! One algorithm, chosen at run time: what it is made of ([`Blueprint`]), its words in one era ([`Words`]), and each
//! party's seat ([`Seat`]).

use super::central::{self, Central};
use super::combining::{self, Combining};
use super::dissemination::{self, Circle};
use super::exchange::{self, Exchange, ExchangeOfTwo};
use super::relay::{Course, Relay};
use super::select::Algorithm;
use super::{Algorithm as _, Rooted, hierarchical, static_tree, tournament};
use crate::fate::Slots;
use crate::fate::board::Board;
use crate::model::Graph;
use crate::topology::Sites;
use crate::wait::{Door, Limit, Pace, Stay, Stop};
use std::fmt;
use std::sync::Arc;

/// The shape of a barrier: who counts and polls what, and how many lines that takes. Computed once; a reset makes new
/// words from it.
#[derive(Clone, Debug)]
pub(crate) struct Blueprint {
    algorithm: Algorithm,
    fan: usize,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    /// Nothing but slots.
    Exchange(Arc<Course>),
    /// Slots beside the counter.
    Central(Arc<Course>),
    Combining(Arc<combining::Tree>),
    Relay(Arc<Course>),
}

/// For algorithms without groups: places are dealt across the machine instead of numbered along it.
pub(crate) const ACROSS: usize = 1;

/// What there is to say of a blueprint beside its algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    None,
    /// Groups of at most so many.
    Groups(usize),
    /// [`Circle::Across`].
    Across,
}

impl Detail {
    /// How large a group is at most, if there are groups.
    pub(crate) fn groups(self) -> Option<usize> {
        match self {
            Self::Groups(fan) => Some(fan),
            _ => None,
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Groups(fan) => write!(f, " (groups of {fan})"),
            Self::Across => f.write_str(" (across)"),
        }
    }
}

impl Blueprint {
    /// The shape of `algorithm`, with groups of at most `fan` where it has such.
    pub(crate) fn new(algorithm: Algorithm, fan: usize, sites: &Sites) -> Self {
        let relay = |course| Shape::Relay(Arc::new(course));
        let shape = match algorithm {
            Algorithm::Exchange => Shape::Exchange(Arc::new(Course::new(sites))),
            // `Auto` is resolved when the barrier is built; central is right for any number of parties.
            Algorithm::Central | Algorithm::Auto => Shape::Central(Arc::new(Course::new(sites))),
            Algorithm::Combining => Shape::Combining(Arc::new(combining::Tree::new(sites, fan))),
            Algorithm::StaticTree(wake) => relay(static_tree::course(sites, wake, fan)),
            Algorithm::Tournament => relay(tournament::course(sites)),
            Algorithm::Dissemination(radix) => {
                let circle = if fan == ACROSS { Circle::Across } else { Circle::Along };
                relay(dissemination::course(sites, radix.value(), circle))
            }
            Algorithm::Hierarchical => relay(hierarchical::course(sites, fan)),
        };
        Self { algorithm, fan, shape }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn parties(&self) -> usize {
        self.course().parties()
    }

    /// What else there is to say of it than its name.
    pub(crate) fn detail(&self) -> Detail {
        match self.algorithm {
            Algorithm::Combining | Algorithm::Hierarchical | Algorithm::StaticTree(_) => Detail::Groups(self.fan),
            Algorithm::Dissemination(_) if self.fan == ACROSS => Detail::Across,
            _ => Detail::None,
        }
    }

    /// The graph that the cost model evaluates.
    pub(crate) fn graph(&self, sites: &Sites) -> Graph {
        match &self.shape {
            Shape::Exchange(_) => exchange::course(sites).graph(),
            Shape::Central(_) => central::graph(sites.parties()),
            Shape::Combining(tree) => tree.graph(),
            Shape::Relay(course) => course.graph(),
        }
    }

    /// Whether `other` is the same barrier by another name or group size.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        match (&self.shape, &other.shape) {
            (Shape::Relay(one), Shape::Relay(other)) => one.is_same_as(other),
            _ => false,
        }
    }

    /// How many lines move on a trip, about.
    pub(crate) fn traffic(&self) -> usize {
        let parties = self.parties();
        match &self.shape {
            Shape::Exchange(_) => parties * parties.saturating_sub(1),
            // Each steps a counter and reads a flag, and some step more.
            Shape::Central(_) | Shape::Combining(_) => 2 * parties,
            Shape::Relay(course) => course.reads(),
        }
    }

    fn course(&self) -> &Arc<Course> {
        match &self.shape {
            Shape::Exchange(course) | Shape::Central(course) | Shape::Relay(course) => course,
            Shape::Combining(tree) => tree.course(),
        }
    }
}

/// What the seats of one era share.
#[derive(Debug)]
pub(crate) struct Words {
    slots: Slots,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Exchange,
    Central(Arc<central::Words>),
    Combining { tree: Arc<combining::Tree>, board: Arc<Board>, base: u64 },
    Relay { course: Arc<Course>, board: Arc<Board> },
}

impl Words {
    /// Words for an era whose first trip is `first`; `near` as in `Board::new`.
    pub(crate) fn new(blueprint: &Blueprint, first: u64, near: bool) -> Self {
        let course = blueprint.course();
        if matches!(blueprint.shape, Shape::Exchange(_)) && course.parties() == 2 {
            return Self { slots: Slots::pair(first), kind: Kind::Exchange };
        }
        let board = Arc::new(course.board(first, near));
        let (spots, luggage) = (Arc::clone(course.slots()), Arc::clone(course.luggage()));
        let slots = Slots::Many { board: Arc::clone(&board), spots, luggage };
        let kind = match &blueprint.shape {
            Shape::Exchange(_) => Kind::Exchange,
            Shape::Central(_) => Kind::Central(Arc::new(central::Words::new(first))),
            Shape::Combining(tree) => Kind::Combining { tree: Arc::clone(tree), board, base: first },
            Shape::Relay(course) => Kind::Relay { course: Arc::clone(course), board },
        };
        Self { slots, kind }
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// The seat of `rank`.
    pub(crate) fn seat(&self, rank: usize) -> Seat {
        match (&self.kind, self.slots.clone()) {
            (Kind::Exchange, Slots::Pair(pair)) => Seat::ExchangeOfTwo(ExchangeOfTwo::new(pair, rank)),
            (Kind::Exchange, Slots::Many { board, spots, .. }) => Seat::Exchange(Exchange::new(board, spots, rank)),
            (Kind::Central(words), slots) => Seat::Central(Central::new(Arc::clone(words), slots, rank)),
            (Kind::Combining { tree, board, base }, slots) => {
                Seat::Combining(Combining::new(Arc::clone(tree), Arc::clone(board), slots, rank, *base))
            }
            (Kind::Relay { course, board }, _) => Seat::Relay(Relay::new(course, Arc::clone(board), rank)),
        }
    }
}

/// A party's seat at an era's algorithm, without a virtual call on the way across.
#[derive(Debug)]
pub(crate) enum Seat {
    ExchangeOfTwo(ExchangeOfTwo),
    Exchange(Exchange),
    Central(Central),
    Combining(Combining),
    Relay(Relay),
    /// None any more: the era is broken, and this party knows. It must not arrive again: others may still be on their
    /// way through the trip before the broken one, and would count the arrival for theirs.
    Over,
}

impl Seat {
    /// Arrives, and stays until all have arrived; and whether the party leads the trip if they have.
    #[inline(always)]
    pub(crate) fn cross(&mut self, door: &Door, stay: Stay<'_>) -> (Result<(), Stop>, bool) {
        match self {
            // Where a call would be felt.
            Self::ExchangeOfTwo(seat) => {
                seat.arrive(stay.generation);
                (seat.complete(door, stay), seat.leads())
            }
            others => others.cross_called(door, stay.generation, stay.pace, stay.limit),
        }
    }

    /// Takes the stay in pieces, as `Door::long_wait` does and for the same reason.
    #[inline(never)]
    fn cross_called(
        &mut self,
        door: &Door,
        generation: u64,
        pace: &mut Pace,
        limit: &Limit,
    ) -> (Result<(), Stop>, bool) {
        let stay = Stay { generation, pace, limit };
        fn cross(seat: &mut impl super::Algorithm, door: &Door, stay: Stay<'_>) -> (Result<(), Stop>, bool) {
            seat.arrive(stay.generation);
            (seat.complete(door, stay), seat.leads())
        }
        match self {
            Self::ExchangeOfTwo(seat) => cross(seat, door, stay),
            Self::Exchange(seat) => cross(seat, door, stay),
            Self::Central(seat) => cross(seat, door, stay),
            Self::Combining(seat) => cross(seat, door, stay),
            Self::Relay(seat) => cross(seat, door, stay),
            Self::Over => (Err(Stop::Alarm), false),
        }
    }

    /// Arrives, and does not stay.
    pub(crate) fn arrive(&mut self, generation: u64) {
        match self {
            Self::ExchangeOfTwo(seat) => seat.arrive(generation),
            Self::Exchange(seat) => seat.arrive(generation),
            Self::Central(seat) => seat.arrive(generation),
            Self::Combining(seat) => seat.arrive(generation),
            Self::Relay(seat) => seat.arrive(generation),
            Self::Over => {}
        }
    }

    /// The rest of a crossing that was stopped, or has only begun.
    pub(crate) fn complete(&mut self, door: &Door, stay: Stay<'_>) -> Result<(), Stop> {
        match self {
            Self::ExchangeOfTwo(seat) => seat.complete(door, stay),
            Self::Exchange(seat) => seat.complete(door, stay),
            Self::Central(seat) => seat.complete(door, stay),
            Self::Combining(seat) => seat.complete(door, stay),
            Self::Relay(seat) => seat.complete(door, stay),
            Self::Over => Err(Stop::Alarm),
        }
    }

    /// Whether all have arrived at the trip that the party has arrived at.
    pub(crate) fn try_complete(&mut self, generation: u64) -> bool {
        match self {
            Self::ExchangeOfTwo(seat) => seat.try_complete(generation),
            Self::Exchange(seat) => seat.try_complete(generation),
            Self::Central(seat) => seat.try_complete(generation),
            Self::Combining(seat) => seat.try_complete(generation),
            Self::Relay(seat) => seat.try_complete(generation),
            Self::Over => false,
        }
    }

    /// Whether the party leads the trip that it has just completed.
    pub(crate) fn leads(&self) -> bool {
        match self {
            Self::ExchangeOfTwo(seat) => seat.leads(),
            Self::Exchange(seat) => seat.leads(),
            Self::Central(seat) => seat.leads(),
            Self::Combining(seat) => seat.leads(),
            Self::Relay(seat) => seat.leads(),
            Self::Over => false,
        }
    }

    /// The seat, if its algorithm has a root.
    pub(crate) fn rooted(&mut self) -> Option<&mut dyn Rooted> {
        match self {
            Self::Central(seat) => Some(seat),
            Self::Combining(seat) => Some(seat),
            _ => None,
        }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_seat_has_a_root_exactly_where_its_algorithm_has_one() {
        for algorithm in Algorithm::NAMED {
            let blueprint = Blueprint::new(algorithm, algorithm.usual_fan(), &Sites::anywhere(3));
            let mut seat = Words::new(&blueprint, 0, false).seat(1);
            assert_eq!(seat.rooted().is_some(), algorithm.is_rooted(), "{algorithm}");
        }
        assert!(Seat::Over.rooted().is_none());
    }

    #[test]
    fn traffic_is_about_how_many_lines_move() {
        let traffic =
            |algorithm: Algorithm| Blueprint::new(algorithm, algorithm.usual_fan(), &Sites::anywhere(5)).traffic();
        assert_eq!(traffic(Algorithm::Exchange), 5 * 4);
        assert_eq!([Algorithm::Central, Algorithm::Combining].map(traffic), [10, 10]);
        // All but the champion lose to somebody, who reads it, and read that they may go.
        assert_eq!(traffic(Algorithm::Tournament), 4 + 4);
    }
}
