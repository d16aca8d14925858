//! How a barrier is made: choices in, [`Barrier`] or an error out.

use super::action::Act;
use super::cancel::CancelToken;
use super::era::Design;
use super::explain::Explanation;
use super::{Barrier, control::Control};
use crate::algo::choice::{Demand, Situation, choose};
use crate::algo::select::Algorithm;
use crate::error::{BuildError, MAX_PARTIES};
use crate::model::Hops;
use crate::observe::Choices;
use crate::primitive::Fences;
use crate::topology::Placement;
use crate::wait::{Plan, Settings, WaitPolicy, calibration};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Makes a [`Barrier`]; from [`Barrier::builder`].
///
/// What is set here beats the environment (`PHALANX_WAIT_POLICY`, `PHALANX_SPIN`, `PHALANX_WATCHDOG`), which beats the
/// default.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use phalanx::{Algorithm, Barrier, WaitPolicy};
///
/// let barrier = Barrier::builder(4)
///     .algorithm(Algorithm::Central)
///     .wait_policy(WaitPolicy::SpinPark)
///     .spin_budget(Duration::from_micros(10))
///     .timeout(Duration::from_secs(5))
///     .build()?;
/// assert_eq!(barrier.parties(), 4);
/// # Ok::<(), phalanx::BuildError>(())
/// ```
#[derive(Clone)]
#[must_use = "nothing is made before `build` is called"]
pub struct Builder {
    parties: usize,
    algorithm: Algorithm,
    /// `None`: as the environment says, else the default.
    policy: Option<WaitPolicy>,
    /// `None`: as the environment says, else what a sleep and a wake cost.
    spin: Option<Duration>,
    /// `None`: waits without a limit.
    timeout: Option<Duration>,
    /// `None`: the threads are wherever the scheduler puts them.
    placement: Option<Placement>,
    /// `None`: guessed from the placement.
    hops: Option<Hops>,
    /// Parties work between arrival and wait.
    split: bool,
    /// Each of these can break it for good.
    tokens: Vec<CancelToken>,
    /// Of all clones together: an action is for one barrier.
    action: Option<Arc<Takeable>>,
    /// Who is to watch it.
    pub(crate) observing: Choices,
    first: u64,
}

/// An action, until a barrier has it.
type Takeable = Mutex<Option<Box<dyn Act>>>;

impl Builder {
    pub(super) fn new(parties: usize) -> Self {
        Self {
            parties,
            algorithm: Algorithm::Auto,
            policy: None,
            spin: None,
            timeout: None,
            placement: None,
            hops: None,
            split: false,
            tokens: Vec::new(),
            action: None,
            observing: Choices::default(),
            first: 0,
        }
    }

    /// Chooses the algorithm; [`Algorithm::Auto`] unless set.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Chooses what waiting parties do with their CPU; [`WaitPolicy::Adaptive`] unless set here or by
    /// `PHALANX_WAIT_POLICY`.
    pub fn wait_policy(mut self, policy: WaitPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets how long a waiting party spins before it does something else; what a sleep and a wake cost here unless set
    /// here or by `PHALANX_SPIN`. `Duration::MAX` is for ever; zero is not at all. [`WaitPolicy::Spin`] and
    /// [`WaitPolicy::Park`] take no notice.
    pub fn spin_budget(mut self, budget: Duration) -> Self {
        self.spin = Some(budget);
        self
    }

    /// Sets the limit of every [`wait`](crate::Party::wait); none unless set. The trip of a party that has waited so
    /// long breaks, with [`Cause::TimedOut`](crate::Cause::TimedOut).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says where the parties' threads will be: rank r is pinned by its own thread to `placement`'s CPU r.
    ///
    /// The barrier pins none of them. It puts each party's lines on the party's NUMA node, packs those of SMT siblings, groups
    /// parties by the caches that they share, and chooses its algorithm for the distances between them. Without it the
    /// parties are taken to be anywhere, all equally far apart. (If the placement is on several nodes, `build` moves its
    /// caller to each of them for a moment, as far as the caller's own mask allows, to touch the lines there first.)
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::Barrier;
    /// use phalanx::topology::{Bind, Topology, pin_current, startup_mask};
    ///
    /// let parties = startup_mask().len();
    /// let placement = Topology::detect().place(&Bind::Close, parties, startup_mask())?;
    /// let barrier = Barrier::builder(parties).placement(placement.clone()).build()?;
    /// std::thread::scope(|s| {
    ///     for mut party in barrier.take_parties().unwrap() {
    ///         let cpu = placement.cpu(party.rank()).map(|cpu| cpu.id);
    ///         s.spawn(move || {
    ///             let _pinned = cpu.and_then(|cpu| pin_current(cpu).ok());
    ///             party.wait().map(drop)
    ///         });
    ///     }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = Some(placement);
        self
    }

    /// Says what a hop costs between any two ranks, for [`Algorithm::Auto`] and for group sizes; guessed from the
    /// [placement](Self::placement) unless set. [`Hops::from_matrix`] takes what core-to-core benchmarks print.
    pub fn hops(mut self, hops: Hops) -> Self {
        self.hops = Some(hops);
        self
    }

    /// Says that parties work between [`arrive`](crate::Party::arrive) and the wait: [`Algorithm::Auto`] then takes an
    /// algorithm in which a party that is busy there holds up nobody, such as a tree whose last arriver climbs. A named
    /// algorithm stays.
    pub fn split_phase(mut self) -> Self {
        self.split = true;
        self
    }

    /// Binds the barrier to `token`, for all its life: a cancellation breaks its open trip with
    /// [`Cause::Cancelled`](crate::Cause::Cancelled), and no [`reset`](crate::Barrier::reset) mends it. Any number of tokens.
    ///
    /// With a token that has been cancelled already, `build` makes a barrier that is broken.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::{Barrier, CancelToken};
    ///
    /// let token = CancelToken::new();
    /// let barrier = Barrier::builder(1).cancel_on(&token).build()?;
    /// let mut party = barrier.claim(0)?;
    /// assert!(party.wait().is_ok());
    /// token.cancel("shutting down");
    /// assert!(party.wait().unwrap_err().to_string().starts_with("trip 1 broken: cancelled: shutting down"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel_on(mut self, token: &CancelToken) -> Self {
        self.tokens.push(token.clone());
        self
    }

    /// Sets what [`Builder::action`] is made of.
    pub(crate) fn act(mut self, action: Box<dyn Act>) -> Self {
        self.action = Some(Arc::new(Mutex::new(Some(action))));
        self
    }

    /// Starts the count of trips at `generation`, so that tests can see it wrap.
    #[doc(hidden)]
    pub fn first_generation(mut self, generation: u64) -> Self {
        self.first = generation;
        self
    }

    /// Makes the barrier. The first one of a process also measures what waiting costs (well under a millisecond, see
    /// [`calibration`]), and on Linux registers the process for `membarrier(2)`: microseconds as long as the process
    /// has one thread, one grace period of the kernel (5 to 15 ms, asleep) when it has several. So build the first
    /// barrier before the workers are started.
    ///
    /// # Errors
    ///
    /// [`BuildError::Parties`] if there are 0 parties, or more than [`MAX_PARTIES`]; [`BuildError::Placement`] and
    /// [`BuildError::Hops`] if these are for another number of ranks; [`BuildError::ActionTaken`] if a clone of this builder
    /// has built a barrier with its [action](Self::action).
    pub fn build(self) -> Result<Barrier, BuildError> {
        let Self {
            parties,
            algorithm,
            policy,
            spin,
            timeout,
            placement,
            hops,
            split,
            tokens,
            action,
            observing,
            first,
        } = self;
        if !(1..=MAX_PARTIES).contains(&parties) {
            return Err(BuildError::Parties { parties });
        }
        let placement = placement.unwrap_or_else(|| Placement::anywhere(parties));
        if placement.parties() != parties {
            return Err(BuildError::Placement { parties, placed: placement.parties() });
        }
        if let Some(ranks) = hops.as_ref().map(Hops::parties).filter(|&ranks| ranks != parties) {
            return Err(BuildError::Hops { parties, ranks });
        }
        observing.check()?;
        let action = match action {
            Some(action) => {
                Some(action.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(BuildError::ActionTaken)?)
            }
            None => None,
        };
        // First of all: the kernel registers a process with one thread at once, and one with several (the calibration
        // starts one) only after a grace period of milliseconds.
        let cheapest = Fences::cheapest();
        let environment = Settings::from_env();
        let policy = policy.or(environment.policy).unwrap_or_default();
        let demand = match (&action, split) {
            (Some(_), _) => Demand::Root,
            (None, true) => Demand::Split,
            (None, false) => Demand::Nothing,
        };
        let recipe = Recipe {
            algorithm,
            policy,
            spin: spin.or(environment.spin),
            timeout,
            placement,
            hops,
            demand,
            cpus: crate::topology::available_cpus(),
            cheapest,
        };
        let designer = Box::new(move |ranks: Arc<[usize]>| recipe.design(ranks));
        let observing = observing.completed_by(&environment);
        let watchdog = observing.watchdog.clone();
        let control = Control::new(designer, parties, first, policy, action).cancelled_by(tokens);
        let barrier = Barrier::from(control.watched_by(observing.observers()));
        barrier.control().bind_to_tokens();
        barrier.begin_watch(watchdog);
        Ok(barrier)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("parties", &self.parties)
            .field("algorithm", &self.algorithm)
            .field("wait_policy", &self.policy)
            .field("spin_budget", &self.spin)
            .field("timeout", &self.timeout)
            .field("placement", &self.placement)
            .field("split_phase", &self.split)
            .field("tokens", &self.tokens)
            .field("action", &self.action)
            .field("observing", &self.observing)
            .finish_non_exhaustive()
    }
}

/// What was asked for, kept to be asked again when members join or leave.
struct Recipe {
    algorithm: Algorithm,
    policy: WaitPolicy,
    spin: Option<Duration>,
    timeout: Option<Duration>,
    placement: Placement,
    hops: Option<Hops>,
    demand: Demand,
    cpus: usize,
    cheapest: Fences,
}

impl Recipe {
    /// What to make for these ranks.
    fn design(&self, ranks: Arc<[usize]>) -> Design {
        let Self { algorithm, policy, spin, timeout, demand, cpus, cheapest, .. } = *self;
        let parties = ranks.len();
        let placement = self.placement.of_ranks(&ranks);
        let hops = self.hops.as_ref().and_then(|hops| hops.of_ranks(&ranks));
        let situation = Situation { placement: &placement, hops: hops.as_ref(), cpus, demand };
        // Parties that share a CPU are short of it, however many there are.
        let room = if situation.has_room() { cpus } else { cpus.min(parties - 1) };
        let each = placement.most_on_one_cpu() <= 1 && parties <= crate::topology::startup_mask().len();
        let plan = Plan { timeout, ..Plan::new(policy, spin, parties, room, &calibration()).with_a_cpu_each(each) };
        let choice = choose(algorithm, situation);
        let fences = if plan.sleeps_readily() { Fences::Symmetric } else { cheapest };
        let explanation = Explanation::new(algorithm, &choice, &placement, cpus, policy, &plan, fences);
        Design { blueprint: choice.blueprint, ranks, plan, fences, explanation }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::topology::{Bind, CpuSet, Topology, startup_mask};

    fn on_one_cpu(parties: usize) -> Placement {
        let machine = Topology::regular(1, 1, 1, 1, 1).unwrap();
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        machine.place(&Bind::Close, parties, &mask).unwrap()
    }

    #[test]
    fn hops_are_for_as_many_ranks_as_there_are_parties() {
        let build =
            |ranks| Barrier::builder(3).hops(Hops::uniform(ranks, 50.0)).build().map(|barrier| barrier.parties());
        assert_eq!(build(3).unwrap(), 3);
        assert!(matches!(build(4), Err(BuildError::Hops { parties: 3, ranks: 4 })));
    }

    #[test]
    fn an_action_is_seen_in_its_builder() {
        let text = format!("{:?}", Barrier::builder(1).action(|_| ()));
        assert!(text.contains("Action"), "{text}");
        assert!(format!("{:?}", Barrier::builder(1)).contains("action: None"));
    }

    #[test]
    fn parties_on_one_cpu_are_short_of_it_however_many_there_are() {
        let builder = Barrier::builder(2).placement(on_one_cpu(2)).wait_policy(WaitPolicy::SpinPark);
        assert!(builder.build().unwrap().era().design().plan.scarce);
    }

    #[test]
    fn those_without_a_cpu_each_give_it_away_after_one_look() {
        let tight = |parties| {
            let builder = Barrier::builder(parties).algorithm(Algorithm::Central).wait_policy(WaitPolicy::SpinPark);
            builder.spin_budget(Duration::from_millis(1)).build().unwrap().era().design().plan.tight
        };
        assert!(tight(startup_mask().len() + 1) < tight(1));
    }
}
