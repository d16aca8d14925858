//! How long one party spins, yields and sleeps: a plan fixed when the barrier is built, and what the party has learned
//! since.
//!
//! Spinning for about what a block-and-wake costs is at most twice as dear as knowing the future (Karlin, Li, Manasse
//! and Owicki, "Empirical studies of competitive spinning for a shared-memory multiprocessor", SOSP 1991); a wait at a
//! barrier is mostly the load imbalance of the loop around it and therefore much like the last one, so the past tells
//! whether spinning pays at all. Three things end spinning at once: more parties than CPUs (then the missing party may
//! need this very CPU), a clock that jumped between two looks (somebody else needs it), and waits that have lately
//! outlasted the budget by far.
//!
//! Yields that take whole time slices are another matter, and that of all parties: `rivals.rs`.

use super::{End, Limit, Tally, WaitPolicy, calibrate::Calibration};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The budgets of a barrier's waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Bare polls before the clock is looked at.
    pub(crate) tight: u32,
    /// Time to spin; `Duration::MAX` is for ever.
    pub(crate) spin: Duration,
    /// Time to yield after that when CPUs are plenty.
    pub(crate) yields: Duration,
    /// Time to yield when they are scarce: more parties than CPUs, or a CPU lately lost.
    pub(crate) scarce_yields: Duration,
    /// More parties than CPUs, or a quota below the parties.
    pub(crate) scarce: bool,
    /// Parties look on for a moment all the same before they give the CPU away.
    pub(crate) lingers: bool,
    /// Spinning may give way: to scarcity, to a lost CPU.
    pub(crate) gives_way: bool,
    /// A yield that takes longer has handed the CPU to somebody who is no party; `Duration::MAX` to put up with it.
    pub(crate) slow_yield: Duration,
    /// Spinning follows past waits.
    pub(crate) learns: bool,
    /// The limit of a wait that names none.
    pub(crate) timeout: Option<Duration>,
}

/// Bare polls of the inline part. Measured with two parties on one shared cache (Xeon, virtual): 4 to 32 cost the same,
/// 64 cost a fifth more and 2000 a third: the flags share a line, and a reader that never pauses keeps taking it from
/// the writer. (There is a PAUSE after each poll beyond these.)
const TIGHT: u32 = if cfg!(miri) { 2 } else { 16 };

/// Polls of a party that lingers: some 0.3 µs where a PAUSE takes 65 cycles, and a third to thrice that elsewhere; without a
/// look at the clock, which costs as much as a PAUSE.
const LINGERING: u32 = if cfg!(miri) { 2 } else { 14 };

/// With more parties than CPUs bare polls only keep the others out; one look is enough.
const TIGHT_WHEN_SCARCE: u32 = 1;

impl Plan {
    /// The budgets of `policy` for `parties` on `cpus`, spinning for `spin` at most (by default for what sleeping would
    /// cost here).
    pub(crate) fn new(
        policy: WaitPolicy,
        spin: Option<Duration>,
        parties: usize,
        cpus: usize,
        costs: &Calibration,
    ) -> Self {
        let scarce = parties > cpus;
        let budget = spin.unwrap_or(costs.spin_budget());
        // While everybody yields, a trip needs each party to run once: parties / cpus turns. Several trips' worth, so
        // that only a party that is really late sends the others to sleep, and never less than a few wakes.
        let turns = u32::try_from(parties.div_ceil(cpus.max(1))).unwrap_or(u32::MAX);
        let turn_of_all = TURN.saturating_mul(turns);
        let rotation = turn_of_all.saturating_mul(ROTATIONS);
        let scarce_yields = rotation.max(costs.block_and_wake() * 4);
        // Two parties on each CPU: half of those that are missing run at this moment, and one of them may be about to arrive;
        // to wait for it costs less than to give the CPU away in vain. (4 on 2 CPUs: 2.1 switches a trip in place of 3.0. With
        // 3, of which one has a CPU to itself, it costs a fifth more, and with 8 there is nothing in it.)
        // On a single CPU nobody else runs at all.
        let two_each = cpus > 1 && parties > cpus + cpus * 3 / 4 && parties <= cpus.saturating_mul(2);
        let lingers = scarce && two_each && !budget.is_zero();
        let tight = if scarce && policy != WaitPolicy::Spin { TIGHT_WHEN_SCARCE } else { TIGHT };
        let base = Self {
            tight,
            spin: budget,
            yields: Duration::ZERO,
            scarce_yields,
            scarce,
            lingers,
            gives_way: true,
            slow_yield: (turn_of_all * 4).max(LOST),
            learns: false,
            timeout: None,
        };
        match policy {
            WaitPolicy::Spin => Self { spin: Duration::MAX, lingers: false, gives_way: false, ..base },
            WaitPolicy::SpinYield => {
                Self { yields: Duration::MAX, scarce_yields: Duration::MAX, slow_yield: Duration::MAX, ..base }
            }
            WaitPolicy::SpinPark => Self { scarce_yields: Duration::ZERO, ..base },
            WaitPolicy::Park => {
                Self { tight: 1, spin: Duration::ZERO, lingers: false, scarce_yields: Duration::ZERO, ..base }
            }
            WaitPolicy::Adaptive => Self { learns: true, ..base },
        }
    }

    /// The same where each party has a CPU after all, and only the time on them is short (a quota): a wait that is over at
    /// once costs less of it than a system call.
    pub(crate) fn with_a_cpu_each(self, each: bool) -> Self {
        if each && self.scarce && !self.spin.is_zero() { Self { tight: TIGHT, ..self } } else { self }
    }

    /// The same for a wait that is to sleep at once.
    pub(super) fn at_once(self) -> Self {
        Self { spin: Duration::ZERO, lingers: false, yields: Duration::ZERO, scarce_yields: Duration::ZERO, ..self }
    }

    /// A plan without clocks: polls for ever, or sleeps at once.
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    pub(crate) fn modelled(parks: bool) -> Self {
        let spin = if parks { Duration::ZERO } else { Duration::MAX };
        Self {
            tight: 1,
            spin,
            yields: Duration::ZERO,
            scarce_yields: Duration::ZERO,
            scarce: false,
            lingers: false,
            gives_way: false,
            slow_yield: Duration::MAX,
            learns: false,
            timeout: None,
        }
    }

    /// A plan without clocks: yields for ever.
    #[cfg(all(test, phalanx_loom))]
    pub(crate) fn modelled_to_yield() -> Self {
        Self { spin: Duration::ZERO, yields: Duration::MAX, ..Self::modelled(true) }
    }

    /// Whether parties will sleep so readily that the fence belongs on both sides: a `membarrier` before each sleep
    /// would then cost more than a fence on each trip.
    pub(crate) fn sleeps_readily(&self) -> bool {
        self.spin.is_zero() || self.scarce
    }
}

/// One turn of a yielding thread: to give the CPU away and to be given it. Measured 0.4 to 1 µs between threads of one
/// process; only its order of magnitude matters.
const TURN: Duration = Duration::from_micros(1);

/// Rotations of all parties over the CPUs that a yielding party sits through before it sleeps. A guess, and the only value
/// tried (3 to 256 parties on 2 CPUs, docs/results): with few, a scheduler that is merely unfair for a while would send
/// parties to sleep, which costs a wake each.
const ROTATIONS: u32 = 8;

/// A gap between two looks at the clock that means "this thread was not running": far above what the polls in between
/// take, far below a scheduler's time slice (1 to 4 ms).
const LOST: Duration = Duration::from_micros(200);

/// Waits for which a party that lost its CPU does not spin. A guess: long enough to matter (a rival stays for
/// milliseconds), short enough to find out soon that the rival has gone.
const PENANCE: u8 = 16;

/// The plan, and what this party has learned.
#[derive(Debug)]
pub(crate) struct Pace {
    plan: Plan,
    /// Moving average of past long waits, in nanoseconds, weight 1/8.
    average: u64,
    /// Waits left for which this party does not spin.
    penance: u8,
    /// The trip that last needed the clock, and its first look at it: several waits of one trip have one limit and one
    /// budget.
    trip: Option<(u64, Instant)>,
    /// Where its long waits are counted, if anybody wants to know.
    tally: Option<Arc<Tally>>,
}

impl Pace {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, average: 0, penance: 0, trip: None, tally: None }
    }

    /// Goes on with what another party of the same barrier has learned: its [`Pace::lessons`].
    pub(super) fn resume(plan: Plan, lessons: (u64, u8)) -> Self {
        let (average, penance) = lessons;
        Self { average, penance, ..Self::new(plan) }
    }

    /// What was learned: the average of past long waits in nanoseconds, and for how many more nobody spins.
    pub(super) fn lessons(&self) -> (u64, u8) {
        (self.average, self.penance)
    }

    /// Counts the long waits here.
    pub(crate) fn counted_by(self, tally: Arc<Tally>) -> Self {
        Self { tally: Some(tally), ..self }
    }

    /// Where the long waits are counted.
    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.tally.as_deref()
    }

    /// Goes on by another plan, with what was learned.
    pub(crate) fn adopt(&mut self, plan: Plan) {
        self.plan = plan;
    }

    #[inline(always)]
    pub(crate) fn tight(&self) -> u32 {
        self.plan.tight
    }

    /// Polls with a PAUSE behind each before the first look at the clock.
    pub(super) fn lingering(&self) -> u32 {
        if self.plan.lingers && self.penance == 0 { LINGERING } else { 0 }
    }

    /// When trip `generation` first looked at the clock: now, unless it has before.
    pub(super) fn start_of(&mut self, generation: u64, now: Instant) -> Instant {
        match self.trip {
            Some((trip, start)) if trip == generation => start,
            _ => {
                self.trip = Some((generation, now));
                now
            }
        }
    }

    /// When a trip that began to look at the clock at `start` has to end.
    pub(super) fn end_of(&self, limit: Limit, start: Instant) -> Option<End> {
        limit.end(start, self.plan.timeout)
    }

    /// Time to spin in the wait that begins now.
    pub(crate) fn spin_budget(&self) -> Duration {
        if !self.plan.gives_way {
            return self.plan.spin;
        }
        if self.plan.scarce {
            return Duration::ZERO;
        }
        if self.penance > 0 {
            return Duration::ZERO;
        }
        // Waits four times as long as the budget: it is wasted nearly always; keep a part of it, to notice when they
        // become short.
        let hopeless = self.plan.learns && u128::from(self.average) > self.plan.spin.as_nanos().saturating_mul(4);
        if hopeless { self.plan.spin / 8 } else { self.plan.spin }
    }

    /// Time to yield in this wait, once spinning is over.
    pub(crate) fn yield_budget(&self) -> Duration {
        if self.plan.scarce || self.penance > 0 { self.plan.scarce_yields } else { self.plan.yields }
    }

    /// Whether `gap` between two looks at the clock means that the CPU was taken away; remembered for the next waits.
    pub(crate) fn lost_cpu(&mut self, gap: Duration) -> bool {
        let lost = self.plan.gives_way && gap > LOST;
        if lost {
            self.penance = PENANCE;
        }
        lost
    }

    /// Whether a yield that took so long handed the CPU to a rival; never, if this party is to put up with rivals.
    pub(crate) fn is_slow(&self, yielded: Duration) -> bool {
        yielded >= self.plan.slow_yield
    }

    /// Whether yields may take as long as they like.
    pub(crate) fn puts_up_with_rivals(&self) -> bool {
        self.plan.slow_yield == Duration::MAX
    }

    /// Takes a finished long wait into account.
    pub(crate) fn learn(&mut self, waited: Duration) {
        // Not `as_nanos`, which reckons in 128 bits: the party has been released, and this is on its way out.
        let waited = waited.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(waited.subsec_nanos()));
        self.average = self.average - self.average / 8 + waited / 8;
        self.penance = self.penance.saturating_sub(1);
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::wait::calibration;

    const MS: Duration = Duration::from_millis(1);
    const BUDGET: Duration = Duration::from_micros(40);

    fn pace(policy: WaitPolicy, parties: usize, cpus: usize) -> Pace {
        Pace::new(Plan::new(policy, Some(BUDGET), parties, cpus, &calibration()))
    }

    #[test]
    fn spinning_ends_where_parties_outnumber_cpus() {
        for policy in WaitPolicy::ALL {
            let spins = pace(policy, 3, 2).spin_budget();
            assert_eq!(spins.is_zero(), policy != WaitPolicy::Spin, "{policy}");
        }
    }

    #[test]
    fn two_parties_per_cpu_look_on_for_a_moment_and_more_do_not() {
        for policy in WaitPolicy::ALL {
            let lingers = |parties| pace(policy, parties, 2).lingering() > 0;
            let asked = !matches!(policy, WaitPolicy::Park | WaitPolicy::Spin);
            assert_eq!([2, 3, 4, 5].map(lingers), [false, false, asked, false], "{policy}");
        }
        assert_eq!(pace(WaitPolicy::Adaptive, 2, 1).lingering(), 0);
        let no_budget = Plan::new(WaitPolicy::Adaptive, Some(Duration::ZERO), 4, 2, &calibration());
        assert_eq!(Pace::new(no_budget).lingering(), 0);
        let mut lingers = pace(WaitPolicy::Adaptive, 4, 2);
        assert_eq!(lingers.lingering(), LINGERING);
        assert!(lingers.lost_cpu(4 * MS));
        assert_eq!(lingers.lingering(), 0, "a CPU was lost just now");
    }

    #[test]
    fn adaptive_spins_less_after_long_waits_and_more_again_after_short_ones() {
        let mut pace = pace(WaitPolicy::Adaptive, 2, 2);
        assert_eq!(pace.spin_budget(), BUDGET);
        pace.learn(10 * MS);
        assert_eq!(pace.spin_budget(), BUDGET / 8);
        (0..100).for_each(|_| pace.learn(Duration::from_micros(2)));
        assert_eq!(pace.spin_budget(), BUDGET);
    }

    #[test]
    fn waits_of_four_budgets_are_not_hopeless_yet() {
        let mut pace = pace(WaitPolicy::Adaptive, 2, 2);
        // The average of one wait is an eighth of it.
        pace.learn(8 * 4 * BUDGET);
        assert_eq!((u128::from(pace.average), pace.spin_budget()), (4 * BUDGET.as_nanos(), BUDGET));
        pace.learn(8 * 4 * BUDGET);
        assert_eq!(pace.spin_budget(), BUDGET / 8);
    }

    #[test]
    fn the_first_polls_are_few_where_they_keep_others_out() {
        let tight = |policy, parties| pace(policy, parties, 2).tight();
        for policy in [WaitPolicy::SpinYield, WaitPolicy::SpinPark, WaitPolicy::Adaptive] {
            assert_eq!((tight(policy, 2), tight(policy, 3)), (TIGHT, TIGHT_WHEN_SCARCE), "{policy}");
        }
        assert_eq!((tight(WaitPolicy::Spin, 3), tight(WaitPolicy::Park, 2)), (TIGHT, 1));
    }

    #[test]
    fn a_quota_alone_does_not_shorten_the_first_polls() {
        let tight = |policy, parties, each| {
            Plan::new(policy, Some(BUDGET), parties, 2, &calibration()).with_a_cpu_each(each).tight
        };
        assert_eq!(
            (tight(WaitPolicy::Adaptive, 3, true), tight(WaitPolicy::Adaptive, 3, false)),
            (TIGHT, TIGHT_WHEN_SCARCE)
        );
        assert_eq!((tight(WaitPolicy::Park, 3, true), tight(WaitPolicy::Park, 2, true)), (1, 1));
    }

    #[test]
    fn who_does_not_spin_sleeps_readily() {
        let readily = |policy, parties| Plan::new(policy, Some(BUDGET), parties, 2, &calibration()).sleeps_readily();
        assert!(readily(WaitPolicy::Park, 2) && readily(WaitPolicy::Adaptive, 3) && !readily(WaitPolicy::Adaptive, 2));
    }

    #[test]
    fn another_plan_keeps_what_was_learned_and_where_it_is_counted() {
        let tally = Arc::new(Tally::default());
        let mut pace = pace(WaitPolicy::SpinPark, 2, 2).counted_by(Arc::clone(&tally));
        assert!(std::ptr::eq(pace.tally().unwrap(), &raw const *tally));
        pace.learn(10 * MS);
        pace.adopt(Plan::new(WaitPolicy::Adaptive, Some(BUDGET), 2, 2, &calibration()));
        assert_eq!(pace.spin_budget(), BUDGET / 8);
    }

    #[test]
    fn a_trip_of_several_waits_has_one_limit_and_one_budget() {
        let mut pace = pace(WaitPolicy::Adaptive, 2, 2);
        let first = Instant::now();
        assert_eq!(pace.start_of(7, first), first);
        assert_eq!(pace.start_of(7, first + MS), first);
        assert_eq!(pace.end_of(Limit::After(MS), first).unwrap().at, first + MS);
        assert!(pace.end_of(Limit::Never, first).is_none());
        assert_eq!(pace.start_of(8, first + MS), first + MS);
    }

    #[test]
    fn only_adaptive_learns() {
        let mut pace = pace(WaitPolicy::SpinPark, 2, 2);
        pace.learn(10 * MS);
        assert_eq!(pace.spin_budget(), BUDGET);
    }

    #[test]
    fn a_slow_yield_is_longer_than_a_turn_of_all_and_spin_yield_knows_none() {
        for parties in [4, 64, 1024] {
            let adaptive = pace(WaitPolicy::Adaptive, parties, 2);
            assert!(!adaptive.is_slow(TURN * parties as u32 / 2) && adaptive.is_slow(3 * MS), "{parties}");
            assert!(!pace(WaitPolicy::SpinYield, parties, 2).is_slow(10 * MS));
        }
    }

    #[test]
    fn a_lost_cpu_is_remembered_for_a_while() {
        let mut pace = pace(WaitPolicy::Adaptive, 2, 2);
        assert!(!pace.lost_cpu(Duration::from_micros(5)) && !pace.lost_cpu(LOST) && pace.lost_cpu(4 * MS));
        for _ in 0..PENANCE {
            assert!(pace.spin_budget().is_zero() && !pace.yield_budget().is_zero());
            pace.learn(Duration::from_micros(2));
        }
        assert!(!pace.spin_budget().is_zero() && pace.yield_budget().is_zero());
    }
}
