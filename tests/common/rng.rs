//! A small generator (splitmix64; Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
//! 2014): accidents that can be repeated.

/// Random numbers from a seed; the same seed gives the same numbers on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of the test called `name`: its own, or `PHALANX_TEST_SEED` to repeat a failure.
    pub(crate) fn seed_of(name: &str) -> u64 {
        let told = std::env::var("PHALANX_TEST_SEED").ok().and_then(|text| text.parse().ok());
        // FNV-1a of the name, from a start that under Miri each of its seeds has for itself.
        told.unwrap_or_else(|| {
            #[cfg(miri)]
            let drawn = super::drawn(u64::MAX);
            #[cfg(not(miri))]
            let drawn = 0;
            let start = 0xcbf2_9ce4_8422_2325 ^ drawn;
            name.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
        })
    }

    /// An independent generator for one party.
    pub(crate) fn fork(&self, rank: usize) -> Self {
        let mut forked = Self(self.0 ^ (rank as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93));
        forked.next();
        forked
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// True once in `of` times.
    pub(crate) fn once_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// A little delay of a random kind: none, some polls, a yield, a sleep. Races need all of them.
    pub(crate) fn dawdle(&mut self) {
        match self.below(16) {
            0..=8 => {}
            9..=11 => (0..self.below(300)).for_each(|_| std::hint::spin_loop()),
            12..=14 => std::thread::yield_now(),
            _ => std::thread::sleep(std::time::Duration::from_micros(self.below(200))),
        }
    }
}
