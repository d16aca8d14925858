//! How many trips a round has: few enough that neighbouring rounds see the same machine, and enough that the two clock
//! readings do not count.

use std::time::Duration;

/// How many trips a round has.
#[derive(Clone, Copy)]
pub enum Length {
    Trips(u64),
    /// As many as take about so long, found out per entrant.
    Lasting {
        time: Duration,
        least: u64,
    },
}

/// The search for the number of trips that take a given time.
pub struct Search {
    time: Duration,
    least: u64,
    /// So many rounds of the present size have lasted at least half of it.
    slow: u32,
    fastest: Duration,
}

impl Search {
    pub fn new(time: Duration, least: u64) -> Self {
        Self { time, least, slow: 0, fastest: Duration::MAX }
    }

    /// What to try after a round, and whether that is the answer.
    pub fn next(&mut self, trips: u64, elapsed: Duration) -> (u64, bool) {
        let fitting = |elapsed: Duration| trips * self.time.as_nanos() as u64 / (elapsed.as_nanos() as u64).max(1);
        if elapsed * 2 < self.time {
            (self.slow, self.fastest) = (0, Duration::MAX);
            return (fitting(elapsed).clamp(2 * trips, 8 * trips), false);
        }
        self.slow += 1;
        self.fastest = self.fastest.min(elapsed);
        if self.slow < 3 { (trips, false) } else { (fitting(self.fastest).max(self.least), true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the search on a peer whose trips take so long, with a start-up cost per round and one bad disturbance.
    fn search(ns_per_trip: u64, fixed: u64, disturbed: u32) -> u64 {
        let mut search = Search::new(Duration::from_millis(1), 20);
        let mut trips = 1;
        for attempt in 0..100 {
            let disturbance = if attempt == disturbed { 50_000_000 } else { 0 };
            let (next, agreed) = search.next(trips, Duration::from_nanos(trips * ns_per_trip + fixed + disturbance));
            trips = next;
            if agreed {
                return trips;
            }
        }
        panic!("no end to it");
    }

    #[test]
    fn rounds_get_the_length_asked_for() {
        assert_eq!(search(50, 0, 99), 20_000);
        assert_eq!(search(1_000_000, 0, 99), 20);
        assert_eq!(search(50, 0, 0), 20_000);
        assert_eq!(search(50, 0, 5), 20_000);
        assert!((15_000..20_000).contains(&search(50, 100_000, 99)));
    }
}
