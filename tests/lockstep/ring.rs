//! A ring of cells, each of which becomes a hash of its neighbourhood: whoever reads a stale, torn or early value is found
//! out by the final state. With troubles at chosen steps.

use phalanx::CancelToken;
use phalanx::team::lockstep::{At, Fault, Front, World};
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Half of the part is written over with rubbish before either of these.
    Fault,
    Panic,
    Cancel(CancelToken),
    Sleep(Duration),
}

pub(crate) struct Ring {
    pub(crate) cells: usize,
    pub(crate) phases: usize,
    pub(crate) halo: u64,
    /// Tick, phase, rank, and what happens there, once.
    pub(crate) troubles: Mutex<Vec<(u64, usize, usize, Trouble)>>,
}

impl Ring {
    pub(crate) fn new(cells: usize) -> Self {
        Self { cells, phases: 1, halo: 1, troubles: Mutex::new(Vec::new()) }
    }

    pub(crate) fn trouble(&self, tick: u64, phase: usize, rank: usize, trouble: Trouble) {
        self.troubles.lock().unwrap().push((tick, phase, rank, trouble));
    }

    fn cells_of(&self, index: usize, parts: usize) -> Range<usize> {
        self.cells * index / parts..self.cells * (index + 1) / parts
    }
}

fn first(cell: usize) -> u64 {
    cell as u64 * 0x9e37_79b9 + 1
}

/// Neither symmetric nor forgetful, and different for each tick and phase.
fn mix(left: u64, own: u64, right: u64, tick: u64, phase: usize) -> u64 {
    let sum = left.rotate_left(7) ^ own.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ right.rotate_right(13);
    sum.wrapping_add(tick).wrapping_mul(3 + 2 * phase as u64) ^ (sum >> 29)
}

/// What one thread computes.
pub(crate) fn expected(cells: usize, phases: usize, ticks: u64) -> Vec<u64> {
    expected_from((0..cells).map(first).collect(), phases, 0..ticks)
}

pub(crate) fn expected_from(mut state: Vec<u64>, phases: usize, ticks: Range<u64>) -> Vec<u64> {
    let cells = state.len();
    for tick in ticks {
        for phase in 0..phases {
            let next = |i: usize| mix(state[(i + cells - 1) % cells], state[i], state[(i + 1) % cells], tick, phase);
            state = (0..cells).map(next).collect();
        }
    }
    state
}

impl World for Ring {
    type Part = Vec<u64>;
    type Measure = u64;

    fn part(&self, index: usize, parts: usize) -> Vec<u64> {
        self.cells_of(index, parts).map(first).collect()
    }

    fn phases(&self) -> usize {
        self.phases
    }

    fn halo(&self) -> u64 {
        self.halo
    }

    fn step(&self, at: At, front: Front<'_, Vec<u64>>, back: &mut Vec<u64>) -> Result<(), Fault> {
        let trouble = {
            let mut troubles = self.troubles.lock().unwrap();
            let here = |it: &(u64, usize, usize, Trouble)| (it.0, it.1, it.2) == (at.tick, at.phase, at.index);
            troubles.iter().position(here).map(|found| troubles.remove(found).3)
        };
        if matches!(trouble, Some(Trouble::Fault | Trouble::Panic)) {
            let half = back.len() / 2;
            back[..half].fill(0xdead);
            back.truncate(half + 1);
        }
        match trouble {
            Some(Trouble::Fault) => return Err(Fault::new("as planned")),
            Some(Trouble::Panic) => std::panic::resume_unwind(Box::new("as planned")),
            Some(Trouble::Cancel(token)) => assert!(token.cancel("as planned")),
            Some(Trouble::Sleep(time)) => std::thread::sleep(time),
            None => {}
        }
        // A window of own cells with as many beyond them as ticks are to be done; shrinks by one on each side per tick.
        let reach = at.ticks as usize;
        let own = self.cells_of(at.index, at.parts);
        let all: Vec<u64> = front.iter().flatten().copied().collect();
        let cell = |i: usize| all[(i + reach * self.cells - reach) % self.cells];
        let mut window: Vec<u64> = (own.start..own.end + 2 * reach).map(cell).collect();
        for tick in at.tick..at.tick + at.ticks {
            window = window.windows(3).map(|near| mix(near[0], near[1], near[2], tick, at.phase)).collect();
        }
        back.clear();
        back.extend(window);
        Ok(())
    }

    fn measure(&self, part: &Vec<u64>) -> u64 {
        part.iter().fold(0, |sum, cell| sum.wrapping_add(*cell))
    }

    fn combine(&self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }
}
