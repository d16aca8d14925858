//! How a barrier is made: choices in, [`Barrier`] or an error out.

use super::{Barrier, control::Control, era::Era};
use crate::algo::select::Algorithm;
use crate::error::{BuildError, MAX_PARTIES};
use crate::primitive::Fences;
use crate::wait::{Plan, Settings, WaitPolicy, calibration};
use std::time::Duration;

/// Makes a [`Barrier`]; from [`Barrier::builder`].
///
/// What is set here beats the environment (`PHALANX_WAIT_POLICY`, `PHALANX_SPIN`), which beats the default.
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
#[derive(Clone, Debug)]
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
    first: u64,
}

impl Builder {
    pub(super) fn new(parties: usize) -> Self {
        Self { parties, algorithm: Algorithm::Auto, policy: None, spin: None, timeout: None, first: 0 }
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
    /// [`BuildError::Parties`] if there are 0 parties, or more than [`MAX_PARTIES`].
    pub fn build(self) -> Result<Barrier, BuildError> {
        let Self { parties, algorithm, policy, spin, timeout, first } = self;
        if !(1..=MAX_PARTIES).contains(&parties) {
            return Err(BuildError::Parties { parties });
        }
        // First of all: the kernel registers a process with one thread at once, and one with several (the calibration
        // starts one) only after a grace period of milliseconds.
        let cheapest = Fences::cheapest();
        let environment = Settings::from_env();
        let policy = policy.or(environment.policy).unwrap_or_default();
        let cpus = crate::topology::available_cpus();
        let budgets = Plan::new(policy, spin.or(environment.spin), parties, cpus, &calibration());
        let plan = Plan { timeout, ..budgets };
        let algorithm = algorithm.resolve(parties, cpus);
        let fences = if plan.sleeps_readily() { Fences::Symmetric } else { cheapest };
        let era = Era::new(algorithm, parties, first, fences);
        Ok(Barrier::from(Control::new(era, algorithm, policy, plan, fences, parties)))
    }
}
