//! How to look at a line that two threads both look at and both write to: [`owning_looks`].
//!
//! The processor's maker decides, and says who it is by an instruction that a virtual machine has to ask its host about: 10 µs (Xeon,
//! virtual) for an answer that a thread which sleeps at each trip has no use for. So there are two questions: one that is asked once
//! and for all, and [`owning_looks_if_known`], whose caller asks the other when its looks have been of use.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether `CPUID` can be asked, and is to be: models and Miri look so that the looks are checked.
const ASKED: bool = cfg!(all(target_arch = "x86_64", not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))))));

/// The answer where it is not asked.
const UNASKED: bool = cfg!(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))));

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// What is known of it. Relaxed: whoever finds it unknown is given the same answer.
static OWNING: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Whether a look at a word that takes its line over for writing is cheaper than one that shares it, for two threads that
/// both look at a line and both write to it.
///
/// On AMD's processors: measured on an EPYC of the fourth generation, two threads that exchange flags in one line take
/// 0.63 of the time of plain looks where they have a core each, and 0.73 where they share one (docs/performance.md).
/// David, Guerraoui and Trigonakis, "Everything you always wanted to know about synchronization but were afraid to ask",
/// SOSP 2013, section 4, found the same of earlier ones. Elsewhere nobody has measured it, so no.
pub(crate) fn owning_looks() -> bool {
    owning_looks_if_known().unwrap_or_else(ask)
}

/// The same, if somebody has asked already.
#[inline(always)]
pub(crate) fn owning_looks_if_known() -> Option<bool> {
    if !ASKED {
        return Some(UNASKED);
    }
    match OWNING.load(Ordering::Relaxed) {
        UNKNOWN => None,
        known => Some(known == YES),
    }
}

#[cold]
#[inline(never)]
fn ask() -> bool {
    let owning = shares_dearly(&vendor());
    OWNING.store(if owning { YES } else { NO }, Ordering::Relaxed);
    owning
}

/// Whether this vendor's processors pay for each look that shares a line: what is said of [`owning_looks`].
fn shares_dearly(vendor: &[u8; 12]) -> bool {
    [b"AuthenticAMD", b"HygonGenuine"].contains(&vendor)
}

/// Who made this processor.
#[cfg(target_arch = "x86_64")]
fn vendor() -> [u8; 12] {
    // SAFETY: every x86-64 processor has the instruction, and its leaf 0.
    #[allow(unsafe_code, unused_unsafe)]
    let id = unsafe { std::arch::x86_64::__cpuid(0) };
    let registers = [id.ebx, id.edx, id.ecx].map(u32::to_le_bytes);
    std::array::from_fn(|at| registers.as_flattened()[at])
}

/// None that is known to do so.
#[cfg(not(target_arch = "x86_64"))]
fn vendor() -> [u8; 12] {
    [b' '; 12]
}

#[cfg(all(test, not(any(miri, phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_look_takes_the_line_over_on_the_processors_of_two_vendors() {
        assert!(shares_dearly(b"AuthenticAMD") && shares_dearly(b"HygonGenuine") && !shares_dearly(b"GenuineIntel"));
        let vendor = vendor();
        assert!(vendor.iter().all(|&letter| letter == b' ' || letter.is_ascii_graphic()), "{vendor:?}");
        assert_eq!(ask(), shares_dearly(&vendor));
        assert_eq!((owning_looks(), owning_looks_if_known()), (ask() && ASKED, Some(ask() && ASKED)));
    }
}
