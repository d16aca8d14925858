//! Sets of CPU ids.

use std::fmt;
use std::str::FromStr;

use super::cpu_list::{self, ParseCpuListError, write_runs};

/// A sorted set of CPU ids.
///
/// What `taskset -c` prints and what `/sys` calls a "CPU list": parse one with [`str::parse`], print one with
/// [`Display`](fmt::Display). Unlike libc's `cpu_set_t` it has no fixed size, so ids of 1024 and more are ordinary.
///
/// # Examples
///
/// ```
/// use phalanx::topology::CpuSet;
///
/// let set: CpuSet = "8,0-3\n".parse()?;
/// assert_eq!(set.to_string(), "0-3,8");
/// assert_eq!(set.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 8]);
/// assert!("0-99999999999".parse::<CpuSet>().is_err());
/// # Ok::<(), phalanx::topology::ParseCpuListError>(())
/// ```
///
/// # Platform notes
///
/// The ids are the operating system's: they may have gaps, and the order says nothing about distance. The list format
/// is described in the kernel's `Documentation/admin-guide/cputopology.rst` and in `cpuset(7)`, "List format"; the
/// `range:used/group` form that the kernel reads but never prints is not accepted.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CpuSet {
    /// Strictly ascending.
    ids: Vec<usize>,
}

impl CpuSet {
    /// Makes an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { ids: Vec::new() }
    }

    /// Reads a hexadecimal mask such as `00000000,0000ff01`.
    ///
    /// The form of `thread_siblings`, `shared_cpu_map` and `cpumap` in `/sys`, the only one that old kernels have
    /// (`cpuset(7)`, "Mask format"): words of 32 bits, the highest CPUs first. White space and the zero byte that some
    /// kernels leave at the end are ignored, and nothing at all is the empty set.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::CpuSet;
    ///
    /// let siblings = CpuSet::from_hex_mask("00000001,00000101\n")?;
    /// assert_eq!(siblings.to_string(), "0,8,32");
    /// # Ok::<(), phalanx::topology::ParseCpuListError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ParseCpuListError`] if a word is not 1 to 8 hexadecimal digits, or if there are words beyond
    /// [`MAX_CPU_IDS`](super::MAX_CPU_IDS).
    pub fn from_hex_mask(text: &str) -> Result<Self, ParseCpuListError> {
        cpu_list::parse_mask(text).map(|ids| Self { ids })
    }

    /// Iterates over the ids in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator + Clone + '_ {
        self.ids.iter().copied()
    }

    /// Counts the CPUs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Tells whether there is no CPU in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Tells whether `cpu` is in the set.
    #[must_use]
    pub fn contains(&self, cpu: usize) -> bool {
        self.ids.binary_search(&cpu).is_ok()
    }

    /// Returns the CPUs that are in both sets.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::CpuSet;
    ///
    /// let (a, b): (CpuSet, CpuSet) = ("0-5".parse()?, "4-9".parse()?);
    /// assert_eq!(a.intersection(&b).to_string(), "4-5");
    /// # Ok::<(), phalanx::topology::ParseCpuListError>(())
    /// ```
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.iter().filter(|&cpu| other.contains(cpu)).collect()
    }

    /// The lowest id: what identifies a group of CPUs that all name the same set.
    pub(super) fn first(&self) -> Option<usize> {
        self.ids.first().copied()
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(iter: I) -> Self {
        let mut ids: Vec<usize> = iter.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids }
    }
}

impl FromStr for CpuSet {
    type Err = ParseCpuListError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        cpu_list::parse_set(text).map(|ids| Self { ids })
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_runs(&self.ids, f)
    }
}

impl fmt::Debug for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CpuSet({self})")
    }
}
