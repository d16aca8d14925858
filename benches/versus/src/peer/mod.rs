//! The entrants: one file per family, each peer a [`Crossing`](crate::seat::Crossing) and a constructor.

pub mod crates;
pub mod floor;
pub mod native;
pub mod object;
pub mod openmp;
pub mod own;
pub mod probe;
pub mod regions;
pub mod remote;
pub mod riders;
pub mod shared;
pub mod sums;
pub mod work;

use crate::seat::{Entrant, Role};
use native::StdBarrier;
use phalanx::{Algorithm, WaitPolicy};

/// Who takes part, and who could not and why.
#[derive(Default)]
pub struct Field {
    pub entrants: Vec<Entrant>,
    pub absent: Vec<String>,
}

impl Field {
    /// Takes the entrant in, or notes why not.
    pub fn add(&mut self, entrant: Result<Entrant, String>) {
        match entrant {
            Ok(entrant) => self.entrants.push(entrant),
            Err(why) => self.absent.push(why),
        }
    }

    /// phalanx as it comes: the subject of all targets.
    pub fn subject(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new(SUBJECT, Role::Subject, instances, || own::default(parties)));
    }

    /// phalanx with a named algorithm and policy.
    pub fn own(&mut self, parties: usize, instances: usize, algorithm: Algorithm, policy: WaitPolicy) {
        let name = format!("phalanx {algorithm:?}, {policy:?}");
        self.add(Entrant::new(name, Role::Own, instances, || own::named(parties, algorithm, policy)));
    }

    /// phalanx with the default policy: `Auto`, as the subject, and each algorithm that has a name.
    ///
    /// `Auto` takes part twice: its ratio to itself is what the method cannot see.
    pub fn family(&mut self, parties: usize, instances: usize, pinned: Option<&[usize]>) {
        let auto = [(Algorithm::Auto.to_string(), Role::Subject), (AUTO_AGAIN.into(), Role::Info)];
        let auto = auto.into_iter().map(|(name, role)| (name, role, Algorithm::Auto));
        let named = Algorithm::NAMED.iter().map(|it| (it.to_string(), Role::Own, *it));
        for (name, role, algorithm) in auto.chain(named) {
            self.add(Entrant::new(name, role, instances, || own::algorithm(parties, algorithm, pinned)));
        }
    }

    /// phalanx behind std's signature.
    pub fn compat(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new("phalanx::compat", Role::Own, instances, || Ok(own::compat(parties))));
    }

    /// All rivals whose waiters sleep, at once or in the end: those that can be with more parties than CPUs.
    pub fn threads(&mut self, parties: usize, instances: usize) {
        self.std(parties, instances);
        self.mutex_condvar(parties, instances);
        self.pthread(parties, instances);
        self.std_barrier(parties, instances);
    }

    /// All rivals whose waiters only spin.
    pub fn spinners(&mut self, parties: usize, instances: usize) {
        self.spin(parties, instances);
        self.hurdles(parties, instances);
    }

    /// All rivals that are crossed by threads or processes of their own, a party on each of these CPUs. To be called
    /// before the caller is pinned.
    pub fn foreign(&mut self, cpus: &[usize]) {
        self.remote(&cpus.iter().copied().map(Some).collect::<Vec<_>>());
    }

    /// The same with so many parties anywhere on the caller's CPUs.
    pub fn foreign_anywhere(&mut self, parties: usize) {
        self.remote(&vec![None; parties]);
    }

    /// They take part in each so many-th round only, for want of time.
    pub fn foreign_each(&mut self, rounds: usize) {
        for entrant in self.entrants.iter_mut().filter(|entrant| entrant.card.foreign) {
            entrant.card.every = rounds;
        }
    }

    /// Those that live in other processes.
    fn remote(&mut self, cpus: &[Option<usize>]) {
        remote::ALL.into_iter().for_each(|setting| self.add(remote::trips(setting, cpus)));
    }

    pub fn std(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new(STD, Role::Rival, instances, || Ok(crates::std(parties))));
    }

    /// What one writes oneself.
    pub fn mutex_condvar(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new("Mutex + Condvar", Role::Rival, instances, || Ok(crates::mutex_condvar(parties))));
    }

    pub fn spin(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new(SPIN, Role::Rival, instances, || Ok(crates::spin(parties))));
    }

    pub fn hurdles(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new("hurdles 1.0", Role::Rival, instances, || Ok(crates::hurdles(parties))));
    }

    pub fn pthread(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new("pthread_barrier", Role::Rival, instances, || native::pthread(parties)));
    }

    pub fn std_barrier(&mut self, parties: usize, instances: usize) {
        self.add(StdBarrier::load().and_then(|library| {
            Entrant::new("C++20 std::barrier", Role::Rival, instances, || Ok(library.parties(parties)))
        }));
    }
}

/// Names that the targets look for.
pub const SUBJECT: &str = "phalanx";
pub const AUTO_AGAIN: &str = "auto once more";
pub const STD: &str = "std::sync::Barrier";
pub const SPIN: &str = "spin 0.12";
