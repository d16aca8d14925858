//! Loom models of members that read and write the layers of a world, with nothing but trips between them.
//!
//! Parts are loom's cells: a read beside a write of the same part of the same layer is a race, and ends the model. (Loom says
//! so by a panic; the engine takes it for the world's and makes a failure of it, which the models do not accept.)

use super::buffers::{Buffers, Front};
use super::control::Handle;
use super::error::Fault;
use super::flight::{Course, Flight, Position, Why, Words};
use super::report::Ended;
use super::world::{At, World};
use crate::algo::select::Algorithm::{self, Central, Exchange};
use crate::barrier::models::{barrier_from, explore};
use crate::barrier::party::Party;
use loom::thread;
use std::sync::Arc;

/// Every part becomes the sum of all. In `fails`, if that is a tick, member 1 fails.
struct Sums {
    phases: usize,
    fails: Option<u64>,
}

impl World for Sums {
    type Part = u32;
    type Measure = ();

    fn part(&self, index: usize, _: usize) -> u32 {
        index as u32 + 1
    }

    fn phases(&self) -> usize {
        self.phases
    }

    fn step(&self, at: At, front: Front<'_, u32>, back: &mut u32) -> Result<(), Fault> {
        *back = front.iter().sum();
        if self.fails == Some(at.tick) && at.index == 1 { Err(Fault::new("model")) } else { Ok(()) }
    }

    fn measure(&self, _: &u32) {}

    fn combine(&self, (): (), (): ()) {}
}

fn flies(bound: usize, algorithm: Algorithm, phases: usize, fails: Option<u64>) {
    explore(bound, move || {
        let barrier = barrier_from(u64::MAX, algorithm, 2, false, None);
        let world = Sums { phases, fails };
        let layers = Buffers::<u32>::count(phases);
        let copies = |index| vec![world.part(index, 2); layers];
        let shared = Arc::new((Buffers::new(vec![copies(0), copies(1)], layers), world, Handle::new(0)));
        let words = Arc::new(Words::new());
        let fly = |(index, party)| {
            let (shared, words) = (Arc::clone(&shared), Arc::clone(&words));
            thread::spawn(move || {
                let (buffers, world, handle) = &*shared;
                let course = Course {
                    phases: world.phases,
                    per_trip: 1,
                    goal: Some(2),
                    condition: None,
                    every: None,
                    deadline: None,
                    timing: false,
                };
                let start = Position { tick: 0, front: 0 };
                let (tokens, observer) = (&[][..], None);
                let flight = Flight { world, buffers, start, course, handle, tokens, observer, words: &words };
                let landing = flight.fly::<Party>(party, index);
                (landing.position, landing.why)
            })
        };
        let flying: Vec<_> = barrier.take_parties().unwrap().into_iter().enumerate().map(fly).collect();
        let landings: Vec<_> = flying.into_iter().map(|flying| flying.join().unwrap()).collect();
        assert_eq!(landings[0].0, landings[1].0);
        assert_eq!(landings[0].0.tick, fails.unwrap_or(2));
        for (_, why) in landings {
            match fails {
                None => assert!(matches!(why, Why::Ended(Ended::Ticks)), "{why:?}"),
                Some(_) => assert!(matches!(why, Why::Failed), "{why:?}"),
            }
        }
    });
}

#[test]
fn lockstep_of_two() {
    flies(2, Exchange, 1, None);
}

#[test]
fn lockstep_of_two_phases() {
    flies(1, Central, 2, None);
}

#[test]
fn lockstep_fails() {
    flies(2, Exchange, 1, Some(1));
}
