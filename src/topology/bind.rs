//! How threads are to be bound to CPUs, as a person writes it: `PHALANX_BIND=close`.

use std::env;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use super::cpu_list::{ParseCpuListError, parse_ordered, write_runs};
use crate::error::report_ignored;

/// A policy of binding ranks to CPUs; [`Topology::place`](super::Topology::place) turns it into a
/// [`Placement`](super::Placement).
///
/// `close` and `spread` are words of OpenMP's `OMP_PROC_BIND`; a list is read as `GOMP_CPU_AFFINITY` reads it,
/// rank after rank.
///
/// # Examples
///
/// ```
/// use phalanx::topology::Bind;
///
/// assert_eq!("close".parse(), Ok(Bind::Close));
/// assert_eq!("8,0-2".parse(), Ok(Bind::List(vec![8, 0, 1, 2])));
/// assert_eq!(Bind::List(vec![8, 0, 1, 2]).to_string(), "8,0-2");
/// assert_eq!(
///     "clsoe".parse::<Bind>().unwrap_err().to_string(),
///     "`clsoe` is neither `none`, `close`, `spread`, `per-llc`, `per-node` nor a CPU list such as `0-3,8`",
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bind {
    /// Leave the threads to the scheduler.
    #[default]
    None,
    /// Neighbours in rank are neighbours on the machine: for parties that talk to each other more than to memory.
    Close,
    /// Ranks as far apart as possible: for parties that need memory bandwidth and cache each for itself.
    Spread,
    /// One rank per LLC group, and again: for as many parties as there are caches, or a few to each.
    PerLlc,
    /// One rank per NUMA node, and again: for as many parties as there are memories, or a few to each.
    PerNode,
    /// These CPUs in this order, rank 0 on the first.
    List(Vec<usize>),
}

impl Bind {
    /// Reads the environment variable `PHALANX_BIND`.
    ///
    /// Unset or empty means [`Bind::None`]. So does a value that cannot be read, which is reported once on standard
    /// error, as OpenMP runtimes do: a typing error in a job script must not stop the job.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::{Bind, Topology, startup_mask};
    ///
    /// let placement = Topology::detect().place(&Bind::from_env(), 4, startup_mask())?;
    /// println!("{placement}");
    /// # Ok::<(), phalanx::topology::PlaceError>(())
    /// ```
    #[must_use]
    pub fn from_env() -> Self {
        const VARIABLE: &str = "PHALANX_BIND";
        let Some(value) = env::var_os(VARIABLE) else {
            return Self::None;
        };
        // What is not Unicode is no policy either, and the report shows it as well as can be.
        let value = value.to_string_lossy();
        match value.parse() {
            Ok(bind) => bind,
            Err(ParseBindError::Empty) => Self::None,
            Err(error) => {
                report_ignored(VARIABLE, &value, &error);
                Self::None
            }
        }
    }
}

fn words() -> [(&'static str, Bind); 5] {
    [
        ("none", Bind::None),
        ("close", Bind::Close),
        ("spread", Bind::Spread),
        ("per-llc", Bind::PerLlc),
        ("per-node", Bind::PerNode),
    ]
}

impl FromStr for Bind {
    type Err = ParseBindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = text.trim();
        if word.is_empty() {
            return Err(ParseBindError::Empty);
        }
        if let Some((_, bind)) = words().into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
            return Ok(bind);
        }
        if !word.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(ParseBindError::Word { value: word.chars().take(32).collect() });
        }
        // The untrimmed text, so that the column of an error is the one that the reader counts.
        parse_ordered(text).map(Self::List).map_err(ParseBindError::List)
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Close => f.write_str("close"),
            Self::Spread => f.write_str("spread"),
            Self::PerLlc => f.write_str("per-llc"),
            Self::PerNode => f.write_str("per-node"),
            Self::List(cpus) => write_runs(cpus, f),
        }
    }
}

/// Why a text is no [`Bind`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseBindError {
    /// There is nothing but white space.
    Empty,
    /// It is not one of the words, and does not look like a list.
    Word {
        /// The first 32 characters of it.
        value: String,
    },
    /// It looks like a CPU list and is none.
    List(ParseCpuListError),
}

impl fmt::Display for ParseBindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = "`none`, `close`, `spread`, `per-llc`, `per-node` nor a CPU list such as `0-3,8`";
        match self {
            Self::Empty => write!(f, "an empty text is neither {expected}"),
            Self::Word { value } => write!(f, "`{value}` is neither {expected}"),
            Self::List(error) => write!(f, "bad CPU list: {error}"),
        }
    }
}

impl Error for ParseBindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::List(error) => Some(error),
            _ => None,
        }
    }
}
