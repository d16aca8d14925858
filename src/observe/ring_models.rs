//! Loom models of the ring: a party that writes beside a reader, over as many events as make every place be overwritten
//! while it is read.

use super::ring::{Pen, Ring, Words};
use crate::explore_models::explore;
use loom::thread;
use std::sync::Arc;

fn event(number: u64) -> Words {
    [number + 1; super::ring::WORDS]
}

/// Whatever is read is whole, in order, and of the latest: `kept` of them if the party stands still.
fn read_beside_writing(kept: usize, before: u64, beside: u64) {
    explore(3, move || {
        let ring = Arc::new(Ring::new(kept));
        let mut pen = Pen::new(Arc::clone(&ring));
        (0..before).for_each(|number| pen.write(event(number)));
        let writer = thread::spawn(move || (before..before + beside).for_each(|number| pen.write(event(number))));
        let check = |all: bool| {
            let copied = ring.read();
            for (number, words) in (copied.first..).zip(&copied.events) {
                assert_eq!(*words, event(number));
            }
            let end = copied.first + copied.events.len() as u64;
            assert!((before..=before + beside).contains(&end));
            if all {
                assert_eq!((end, copied.events.len()), (before + beside, kept));
            }
        };
        check(false);
        writer.join().unwrap();
        check(true);
    });
}

#[test]
fn ring_of_one() {
    read_beside_writing(1, 2, 2);
}

#[test]
fn ring_of_two() {
    read_beside_writing(2, 3, 2);
}

#[test]
fn ring_from_the_first() {
    read_beside_writing(2, 0, 3);
}
