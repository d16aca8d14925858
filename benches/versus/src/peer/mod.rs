//! The entrants: one file per family, each peer a [`Crossing`](crate::seat::Crossing) and a constructor.

pub mod ck;
pub mod crates;
pub mod epcc;
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
pub mod tasks;
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

    /// Those that `add` takes in play only each so many-th round: for peers whose trips take long.
    pub fn seldom(&mut self, every: usize, add: impl FnOnce(&mut Self)) {
        let before = self.entrants.len();
        add(self);
        self.entrants[before..].iter_mut().for_each(|entrant| entrant.card.every = every);
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

    /// phalanx behind std's signature and all rivals, with a party on each of these CPUs.
    pub fn everyone(&mut self, cpus: &[usize], instances: usize) {
        self.compat(cpus.len(), instances);
        self.threads(cpus.len(), instances);
        self.spinners(cpus.len(), instances);
        self.foreign(cpus);
    }

    /// All rivals whose waiters sleep, at once or in the end: those that can be with more parties than CPUs.
    pub fn threads(&mut self, parties: usize, instances: usize) {
        self.std(parties, instances);
        self.mutex_condvar(parties, instances);
        self.parking_lot(parties, instances);
        self.async_lock(parties, instances);
        self.tokio(parties, instances);
        self.pthread(parties, instances);
        self.std_barrier(parties, instances);
    }

    /// All rivals whose waiters spin until they are released, if not from the first look on.
    pub fn spinners(&mut self, parties: usize, instances: usize) {
        self.spin(parties, instances);
        self.hurdles(parties, instances);
        self.ck(parties, instances);
    }

    /// All rivals that are crossed by threads or processes of their own, a party on each of these CPUs. To be called
    /// before the caller is pinned.
    pub fn foreign(&mut self, cpus: &[usize]) {
        self.remote(&cpus.iter().copied().map(Some).collect::<Vec<_>>());
        self.tasks(cpus);
    }

    /// The same with so many parties anywhere on these CPUs, which are the caller's.
    pub fn foreign_anywhere(&mut self, parties: usize, cpus: &[usize]) {
        self.remote(&vec![None; parties]);
        self.tasks(&cpus.iter().copied().cycle().take(parties).collect::<Vec<_>>());
    }

    /// The one of them that CPU time is judged by.
    pub fn libgomp(&mut self, cpus: &[usize]) {
        self.add(remote::trips(remote::LIBGOMP, &cpus.iter().copied().map(Some).collect::<Vec<_>>()));
    }

    /// tokio's barrier as it is meant, by a task for each of these CPUs, of which some may be the same.
    pub fn tasks(&mut self, cpus: &[usize]) {
        self.add(tasks::tokio(cpus));
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
        let build = || Ok(crates::monitored::<crates::OfStd>(parties));
        self.add(Entrant::new("Mutex + Condvar", Role::Rival, instances, build));
    }

    /// The same with another mutex and condition variable.
    pub fn parking_lot(&mut self, parties: usize, instances: usize) {
        let build = || Ok(crates::monitored::<crates::OfParkingLot>(parties));
        self.add(Entrant::new("parking_lot 0.12, Mutex + Condvar", Role::Rival, instances, build));
    }

    pub fn async_lock(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new("async-lock 3, blocking", Role::Rival, instances, || Ok(crates::async_lock(parties))));
    }

    pub fn tokio(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new("tokio, blocking threads", Role::Rival, instances, || crates::tokio(parties)));
    }

    pub fn spin(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new(SPIN, Role::Rival, instances, || Ok(crates::spin(parties))));
    }

    pub fn hurdles(&mut self, parties: usize, instances: usize) {
        self.add(Entrant::new(HURDLES, Role::Rival, instances, || Ok(crates::hurdles(parties))));
    }

    /// Concurrency Kit's five.
    pub fn ck(&mut self, parties: usize, instances: usize) {
        for (kind, name) in ck::KINDS.iter().enumerate() {
            self.add(Entrant::new(format!("ck {name}"), Role::Rival, instances, || ck::parties(kind, parties)));
        }
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
pub const HURDLES: &str = "hurdles 1.0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::length::Length;
    use crate::place::allowed;
    use crate::play::{Plan, Turn, play};
    use crate::seat::Seat;

    /// Few trips: those who only spin take a time slice for each where there are more parties than CPUs.
    fn promise(parties: usize) {
        let cpus = allowed().unwrap();
        let mut field = Field::default();
        field.threads(parties, 2);
        field.spinners(parties, 2);
        let seats: Vec<usize> = cpus.iter().copied().cycle().take(parties).collect();
        field.tasks(&seats);
        // What is absent needs a compiler or a library that may not be there; the crates are there.
        assert!(field.entrants.len() >= 8, "{:?}", field.absent);
        let plan = Plan { cpus: &cpus, parties, pinned: true, rounds: 2, length: Length::Trips(2), verified: 5 };
        let played = play(&plan, field.entrants, |turn: &Turn, seat: &mut dyn Seat| seat.back_to_back(1, turn.trips));
        for peer in played {
            assert_eq!(peer.wrong, [""; 0], "{} with {parties} parties", peer.name);
            assert!(peer.rounds.iter().flatten().flatten().all(|lap| lap.trips == 2), "{}", peer.name);
        }
    }

    #[test]
    fn every_rival_keeps_the_promise_with_two() {
        promise(2);
    }

    #[test]
    fn every_rival_keeps_the_promise_with_five() {
        promise(5);
    }
}
