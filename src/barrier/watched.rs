//! How a barrier is given a name and watched: the choices, and what they lead to.

use super::Barrier;
use super::builder::Builder;

impl Builder {
    /// Names the barrier, for reports, logs and metrics; `barrier-1`, `barrier-2` and so on unless set.
    ///
    /// # Examples
    ///
    /// ```
    /// let barrier = phalanx::Barrier::builder(2).name("halo").build()?;
    /// assert_eq!(barrier.name(), "halo");
    /// # Ok::<(), phalanx::BuildError>(())
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.observing.name = Some(name.into());
        self
    }
}

impl Barrier {
    /// What people call the barrier ([`Builder::name`]).
    #[must_use]
    pub fn name(&self) -> &str {
        self.control().observers().name()
    }
}
