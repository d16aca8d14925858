//! How to look at a line that two threads both look at and both write to: [`owning_looks`].
//!
//! The processor's maker decides, and says who it is by an instruction that a virtual machine has to ask its host about: some 10 µs for an
//! answer that a thread which sleeps at each trip has no use for (docs/results/2026-11-29-xeon-2cpu-preload/sleepers.md). So there are two
//! questions: [`owning_looks`], which finds it out, and [`owning_looks_if_known`] for a caller who asks the other one once he has
//! stayed awake with success.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whether the processor is asked. Models and Miri look so in any case, so that the looks are checked; others than x86-64 never do.
const ASKED: bool = cfg!(all(target_arch = "x86_64", not(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))))));
const UNASKED: bool = cfg!(any(miri, all(test, any(phalanx_loom, phalanx_shuttle))));

/// Whether a look at a word that takes its line over for writing is cheaper than one that shares it, for two threads that
/// both look at a line and both write to it.
///
/// On AMD's processors: measured on an EPYC of the fourth generation, two threads that exchange flags in one line take
/// 0.63 of the time of plain looks where they have a core each, and 0.73 where they share one (docs/performance.md).
/// David, Guerraoui and Trigonakis, "Everything you always wanted to know about synchronization but were afraid to ask",
/// SOSP 2013, section 4, found the same of earlier ones. Elsewhere nobody has measured it, so no.
pub(crate) fn owning_looks() -> bool {
    owning_looks_if_known().unwrap_or_else(|| OWNING.learn(vendor()))
}

/// The same, if somebody has found it out.
#[inline(always)]
pub(crate) fn owning_looks_if_known() -> Option<bool> {
    if ASKED { OWNING.get() } else { Some(UNASKED) }
}

static OWNING: Answer = Answer::new();

/// What is known. (std's word in a model too, which never gets here.) Relaxed: it says all by itself, and who finds nothing learns the same.
struct Answer(AtomicU8);

impl Answer {
    const UNKNOWN: u8 = 0;
    const NO: u8 = 1;
    const YES: u8 = 2;

    const fn new() -> Self {
        Self(AtomicU8::new(Self::UNKNOWN))
    }

    #[inline(always)]
    fn get(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
            Self::UNKNOWN => None,
            known => Some(known == Self::YES),
        }
    }

    #[cold]
    #[inline(never)]
    fn learn(&self, vendor: [u8; 12]) -> bool {
        let dear = [b"AuthenticAMD", b"HygonGenuine"].contains(&&vendor);
        self.0.store(if dear { Self::YES } else { Self::NO }, Ordering::Relaxed);
        dear
    }
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

/// Nobody of whom anything is known.
#[cfg(not(target_arch = "x86_64"))]
fn vendor() -> [u8; 12] {
    [b' '; 12]
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_look_takes_the_line_over_on_the_processors_of_two_vendors() {
        for (vendor, dear) in [(b"AuthenticAMD", true), (b"HygonGenuine", true), (b"GenuineIntel", false)] {
            let answer = Answer::new();
            assert_eq!(answer.get(), None);
            assert_eq!((answer.learn(*vendor), answer.get()), (dear, Some(dear)));
        }
    }

    #[test]
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn who_made_this_processor_is_asked_and_then_known() {
        let vendor = vendor();
        assert!(vendor.iter().all(|&letter| letter == b' ' || letter.is_ascii_graphic()), "{vendor:?}");
        let dear = Answer::new().learn(vendor);
        assert_eq!((owning_looks(), OWNING.get(), owning_looks_if_known()), (dear, Some(dear), Some(dear)));
    }
}
