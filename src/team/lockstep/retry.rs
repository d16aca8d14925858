//! What becomes of a tick that failed.

use super::error::Failure;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Says whether and when a failed tick is tried again.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use phalanx::team::lockstep::{Failure, RetryPolicy};
///
/// // At most 4 tries of a tick, 10, 20 and 40 ms apart, and only if a deadline passed or the like.
/// let policy = RetryPolicy::attempts(4)
///     .back_off(Duration::from_millis(10))
///     .doubling_to(Duration::from_secs(1))
///     .only(|failure| matches!(failure, Failure::Broken(_)));
/// # let _ = policy;
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    attempts: u32,
    back_off: Duration,
    /// `None`: always the same.
    most: Option<Duration>,
    accepts: Arc<dyn Fn(&Failure) -> bool + Send + Sync>,
}

impl RetryPolicy {
    /// Tries a tick so often in all, at once, whatever made it fail. 0 counts as 1, which is no retry.
    #[must_use]
    pub fn attempts(attempts: u32) -> Self {
        Self { attempts: attempts.max(1), back_off: Duration::ZERO, most: None, accepts: Arc::new(|_| true) }
    }

    /// Waits so long before the second try.
    #[must_use]
    pub fn back_off(mut self, back_off: Duration) -> Self {
        self.back_off = back_off;
        self
    }

    /// Doubles the wait before each further try, to at most this.
    #[must_use]
    pub fn doubling_to(mut self, most: Duration) -> Self {
        self.most = Some(most);
        self
    }

    /// Tries again only after failures of which this says so.
    #[must_use]
    pub fn only(mut self, accepts: impl Fn(&Failure) -> bool + Send + Sync + 'static) -> Self {
        self.accepts = Arc::new(accepts);
        self
    }

    /// How long to wait before the next try, after `tries` that failed; `None` if there is to be none.
    pub(super) fn next(&self, tries: u32, failure: &Failure) -> Option<Duration> {
        if tries >= self.attempts || !(self.accepts)(failure) {
            return None;
        }
        Some(match self.most {
            None => self.back_off,
            Some(most) => self.back_off.saturating_mul(1 << (tries - 1).min(30)).min(most),
        })
    }
}

impl Default for RetryPolicy {
    /// No second try.
    fn default() -> Self {
        Self::attempts(1)
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("RetryPolicy");
        text.field("attempts", &self.attempts).field("back_off", &self.back_off).field("most", &self.most);
        text.finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::team::lockstep::Fault;

    #[test]
    fn waits_double_up_to_the_most_and_tries_end() {
        let failure = Failure::Fault { rank: 0, fault: Fault::new("x") };
        let ms = Duration::from_millis;
        let policy = RetryPolicy::attempts(5).back_off(ms(10)).doubling_to(ms(35));
        let waits: Vec<_> = (1..6).map(|tries| policy.next(tries, &failure)).collect();
        assert_eq!(waits, [Some(ms(10)), Some(ms(20)), Some(ms(35)), Some(ms(35)), None]);
        assert_eq!(RetryPolicy::attempts(0).next(1, &failure), None);
        assert_eq!(policy.only(|_| false).next(1, &failure), None);
    }
}
