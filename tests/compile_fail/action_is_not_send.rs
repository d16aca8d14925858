//! An action runs on whichever thread arrives last.

use std::{cell::Cell, rc::Rc};

fn main() {
    let trips = Rc::new(Cell::new(0));
    let _ = phalanx::Barrier::builder(2).action(move |_| trips.set(trips.get() + 1)).build();
}
