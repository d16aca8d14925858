//! How a team is made: choices in, [`Team`] or an error out.

use super::crew::{Seat, Shared, work};
use super::dispatch::Dispatch;
use super::error::TeamError;
use super::{Recipe, Team};
use crate::barrier::Barrier;
use crate::barrier::builder::Builder;
use crate::barrier::cancel::CancelToken;
use crate::error::MAX_PARTIES;
#[cfg(feature = "hdr")]
use crate::observe::Sampling;
use crate::observe::watchdog::{Orders, Report, Sink};
use crate::observe::{Choices, Log};
use crate::primitive::Fences;
use crate::topology::{Bind, PinError, Placement, Topology, available_cpus, pin_current, startup_mask};
use crate::wait::{Pace, Plan as Budgets, Settings, WaitPolicy, calibration};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Where the members of a team run.
///
/// A policy ([`Bind`]) that is applied to the machine at hand, or a [`Placement`] that was made before; anything that can
/// be turned into one of them is taken by [`TeamBuilder::place`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Plan {
    /// As this policy says, within the start-up mask.
    Bind(Bind),
    /// Exactly there.
    Placement(Placement),
}

impl From<Bind> for Plan {
    fn from(bind: Bind) -> Self {
        Self::Bind(bind)
    }
}

impl From<Placement> for Plan {
    fn from(placement: Placement) -> Self {
        Self::Placement(placement)
    }
}

/// Makes a [`Team`]; from [`Team::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use phalanx::WaitPolicy;
/// use phalanx::team::Team;
/// use phalanx::topology::Bind;
///
/// let team = Team::builder()
///     .threads(2)
///     .place(Bind::Close)
///     .name("solver")
///     .wait_policy(WaitPolicy::Adaptive)
///     .timeout(Duration::from_secs(30))
///     .build()?;
/// assert_eq!(team.size(), 2);
/// # Ok::<(), phalanx::team::TeamError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "no thread is started before `build` is called"]
pub struct TeamBuilder {
    /// `None`: one for each CPU that this process may use.
    threads: Option<usize>,
    /// `None`: as `PHALANX_BIND` says.
    plan: Option<Plan>,
    /// The workers' names are made of it.
    name: String,
    /// `None`: as the environment says, else the default.
    policy: Option<WaitPolicy>,
    /// `None`: as the environment says, else what a sleep and a wake cost.
    spin: Option<Duration>,
    /// `None`: waits at the team's barrier without a limit.
    timeout: Option<Duration>,
    /// The thread that calls `run` is rank 0.
    caller_joins: bool,
    /// `None`: as `RUST_MIN_STACK` says, else std's default.
    stack: Option<usize>,
    /// Each of these can break the team's barrier for good.
    tokens: Vec<CancelToken>,
    /// `None`: as the environment says, else nobody.
    observing: Choices,
    /// For tests: the rank whose thread the system does not give.
    fail_at: Option<usize>,
}

impl TeamBuilder {
    pub(super) fn new() -> Self {
        Self {
            threads: None,
            plan: None,
            name: "phalanx".into(),
            policy: None,
            spin: None,
            timeout: None,
            caller_joins: true,
            stack: None,
            tokens: Vec::new(),
            observing: Choices::default(),
            fail_at: None,
        }
    }

    /// Sets the number of members; one for each CPU that the process may use unless set
    /// ([`available_cpus`]: affinity mask and quota).
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Says where the members run: a [`Bind`] or a [`Placement`]; as `PHALANX_BIND` says unless set. Each worker pins itself
    /// to the CPU of its rank. The caller, if it is a member, is not touched: [`Team::pin_caller`] pins it.
    pub fn place(mut self, plan: impl Into<Plan>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Names the workers' threads `{name}-{rank}`, as debuggers and error messages show them, and the team's barrier `{name}`;
    /// `phalanx` unless set. Linux shows 15 bytes of a thread's name. The barriers of engines that run on the team
    /// ([`lockstep`](super::lockstep)) are called `{name}/lockstep`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Chooses what members do while they wait, at the team's barrier and between runs; [`WaitPolicy::Adaptive`] unless set
    /// here or by `PHALANX_WAIT_POLICY`. Between runs workers fall asleep under every policy but [`WaitPolicy::Spin`].
    pub fn wait_policy(mut self, policy: WaitPolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets how long members spin before they do something else, at the team's barrier and between runs, as
    /// [`Builder::spin_budget`]: longer than the serial parts between two runs, if CPU time is no matter.
    pub fn spin_budget(mut self, budget: Duration) -> Self {
        self.spin = Some(budget);
        self
    }

    /// Sets the limit of every wait at the team's barrier, as [`Builder::timeout`]; none unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Has `sink` told of every trip that is not decided so long `after` the first arrival at it, as [`Builder::watchdog`]: at
    /// the team's barrier, and at those of engines that run on the team. As `PHALANX_WATCHDOG` says unless set.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::team::Team;
    /// use std::time::Duration;
    ///
    /// let team = Team::builder()
    ///     .threads(2)
    ///     .name("solver")
    ///     .watchdog(Duration::from_secs(30), |report| eprintln!("{report}"))
    ///     .build()?;
    /// # drop(team);
    /// # Ok::<(), phalanx::team::TeamError>(())
    /// ```
    pub fn watchdog(mut self, after: Duration, sink: impl Fn(&Report) + Send + Sync + 'static) -> Self {
        self.observing.watchdog = Some((Orders { after, break_after: None }, Sink::new(sink)));
        self
    }

    /// Writes a line for each break or each trip at the team's barrier, and at those of engines that run on the team, as
    /// [`Builder::log`]; any number of logs.
    pub fn log(mut self, log: Log) -> Self {
        self.observing.logs.push(log);
        self
    }

    /// Times the members on these trips, as [`Builder::statistics`]; for [`Team::stats`].
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::observe::Sampling;
    /// use phalanx::team::Team;
    ///
    /// let team = Team::builder().threads(2).statistics(Sampling::ALL).build()?;
    /// team.run(|m| (0..100).for_each(|_| assert!(m.barrier().is_ok())))?;
    /// assert_eq!(team.stats().timing.map(|timing| timing.wait().count()), Some(200));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "hdr")]
    #[cfg_attr(docsrs, doc(cfg(feature = "hdr")))]
    pub fn statistics(mut self, trips: Sampling) -> Self {
        self.observing.statistics = Some(trips);
        self
    }

    /// Notes what each member does on each trip, and keeps the latest `events_per_member`, as [`Builder::timeline`]; for
    /// [`Team::timeline`].
    ///
    /// # Errors
    ///
    /// `build` fails for more than 2^24 events.
    #[cfg(feature = "timeline")]
    #[cfg_attr(docsrs, doc(cfg(feature = "timeline")))]
    pub fn timeline(mut self, events_per_member: usize) -> Self {
        self.observing.timeline = Some(events_per_member);
        self
    }

    /// Whether the thread that calls [`Team::run`] is a member, with rank 0; so unless set. Otherwise all members are
    /// workers, and the caller waits for them.
    pub fn caller_joins(mut self, joins: bool) -> Self {
        self.caller_joins = joins;
        self
    }

    /// Binds the team to `token`: a cancellation breaks the trip of the run that is under way, and every later run is refused.
    /// Any number of tokens.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::{CancelToken, Cause, team::{RunError, Team}};
    ///
    /// let token = CancelToken::new();
    /// let team = Team::builder().threads(2).cancel_on(&token).build()?;
    /// token.cancel("shutting down");
    /// let refused = team.run(|_| ()).unwrap_err();
    /// assert!(matches!(refused, RunError::Broken(broken) if matches!(broken.cause(), Cause::Cancelled { .. })));
    /// # Ok::<(), phalanx::team::TeamError>(())
    /// ```
    pub fn cancel_on(mut self, token: &CancelToken) -> Self {
        self.tokens.push(token.clone());
        self
    }

    /// Sets the size of the workers' stacks in bytes, as [`thread::Builder::stack_size`].
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack = Some(bytes);
        self
    }

    /// Lets the spawn of this rank's thread fail, for tests (B29).
    #[doc(hidden)]
    pub fn fail_spawn_at(mut self, rank: usize) -> Self {
        self.fail_at = Some(rank);
        self
    }

    /// Makes the team, and returns when all of its workers run where they should.
    ///
    /// # Errors
    ///
    /// [`TeamError`]. Threads that had been started are gone when it returns. That this system cannot pin threads at all
    /// ([`PinError::Unsupported`]) is no error: see [`Team::is_pinned`].
    pub fn build(self) -> Result<Team, TeamError> {
        let threads = self.threads.unwrap_or_else(available_cpus);
        if !(1..=MAX_PARTIES).contains(&threads) {
            return Err(TeamError::Threads { threads });
        }
        let placement = match self.plan.clone().unwrap_or_else(|| Plan::Bind(Bind::from_env())) {
            Plan::Placement(placement) => placement,
            Plan::Bind(bind) => Topology::detect().place(&bind, threads, startup_mask())?,
        };
        if placement.parties() != threads {
            return Err(TeamError::Placement { threads, placed: placement.parties() });
        }
        let recipe = self.recipe(threads, &placement);
        let region = recipe.clone().build()?;
        let (budgets, fences) = self.between_runs(threads, &placement);
        let mut parties = region.take_parties().expect("nobody else knows of it").into_iter().enumerate();
        let shared = Arc::new(Shared::new(threads, Dispatch::new(threads, fences), region));
        let seat = self.caller_joins.then(|| parties.next()).flatten().map(|(rank, party)| Seat { rank, party });
        let recipe = Recipe { barrier: recipe, tokens: self.tokens.clone() };
        let mut team = Team::new(shared, Pace::new(budgets), seat, placement, recipe);

        let (tell, told) = mpsc::channel();
        for (rank, party) in parties {
            let cpu = team.placement().cpu(rank).map(|cpu| cpu.id);
            let (shared, tell) = (Arc::clone(team.shared()), tell.clone());
            let life = move || {
                let pinned = cpu.map(pin_current).transpose();
                // The guard stays in this frame: it lasts as long as the thread.
                let _pinned = match pinned {
                    Ok(pinned) => {
                        tell_or_end(&tell, rank, Ok(pinned.is_some()));
                        pinned
                    }
                    Err(error) => {
                        tell_or_end(&tell, rank, Err(error));
                        None
                    }
                };
                drop(tell);
                work(&shared, Seat { rank, party }, Pace::new(budgets));
            };
            match self.spawn(rank, life) {
                Ok(worker) => team.enlist(worker),
                // The team is dropped, which ends those that had been started.
                Err(error) => return Err(TeamError::Spawn { rank, error }),
            }
        }
        drop(tell);
        for (rank, pinned) in told {
            match pinned {
                Ok(pinned) => team.note_pinned(rank, pinned),
                Err(PinError::Unsupported) => team.note_pinned(rank, false),
                Err(error) => return Err(TeamError::Pin { rank, error }),
            }
        }
        Ok(team)
    }

    /// How the team's barrier is made, whenever a new one is needed.
    fn recipe(&self, threads: usize, placement: &Placement) -> Builder {
        let mut recipe = Barrier::builder(threads).placement(placement.clone());
        recipe.observing = Choices { name: Some(self.name.clone()), ..self.observing.clone() };
        for token in &self.tokens {
            recipe = recipe.cancel_on(token);
        }
        if let Some(policy) = self.policy {
            recipe = recipe.wait_policy(policy);
        }
        if let Some(spin) = self.spin {
            recipe = recipe.spin_budget(spin);
        }
        if let Some(timeout) = self.timeout {
            recipe = recipe.timeout(timeout);
        }
        recipe
    }

    /// How members wait for calls and reports.
    fn between_runs(&self, threads: usize, placement: &Placement) -> (Budgets, Fences) {
        let environment = Settings::from_env();
        let policy = match self.policy.or(environment.policy).unwrap_or_default() {
            // It never sleeps, and a team may be idle for hours.
            WaitPolicy::SpinYield => WaitPolicy::Adaptive,
            policy => policy,
        };
        let cpus = available_cpus();
        // The caller needs a CPU even where it only waits.
        let busy = threads + usize::from(!self.caller_joins);
        let room = if placement.most_on_one_cpu() > 1 { cpus.min(busy.saturating_sub(1)) } else { cpus };
        let budgets = Budgets::new(policy, self.spin.or(environment.spin), busy, room, &calibration());
        // Between runs all wait for one, and who looks on keeps the CPU from it: 4 members on 2 CPUs are a tenth slower so.
        let budgets = Budgets { lingers: false, ..budgets };
        (budgets, if budgets.sleeps_readily() { Fences::Symmetric } else { Fences::cheapest() })
    }

    fn spawn(&self, rank: usize, life: impl FnOnce() + Send + 'static) -> std::io::Result<thread::JoinHandle<()>> {
        if self.fail_at == Some(rank) {
            return Err(std::io::Error::other("a test lets this spawn fail"));
        }
        let mut builder = thread::Builder::new().name(format!("{}-{rank}", self.name));
        if let Some(bytes) = self.stack {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(life)
    }
}

/// Tells the builder what became of the pinning; it may have given up and gone.
fn tell_or_end(tell: &mpsc::Sender<(usize, Result<bool, PinError>)>, rank: usize, pinned: Result<bool, PinError>) {
    // Without a listener the team is being taken down, and the worker finds out by its first call.
    drop(tell.send((rank, pinned)));
}
