//! What parties say they are doing, as numbers: a party leaves one in its tally at the cost of a store, and whoever watches
//! turns it into words again.
//!
//! A label is text of the program's, so there are few of them; each barrier numbers those that it has seen, and each party
//! keeps the numbers of the last eight that it used, found by their address. The same words at another address get the same
//! number.

use std::sync::{Mutex, PoisonError};

/// The labels of one barrier.
#[derive(Debug, Default)]
pub(crate) struct Labels(Mutex<Vec<&'static str>>);

/// More than any program has, so that one that makes them up (`String::leak`) is not kept for ever.
const MOST: usize = if cfg!(miri) { 64 } else { 4096 };

impl Labels {
    /// The number of `label`, from 1; 0, which is none, if there are too many.
    #[cold]
    pub(crate) fn number(&self, label: &'static str) -> u64 {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.iter().position(|&other| other == label).unwrap_or_else(|| {
            if known.len() < MOST {
                known.push(label);
                known.len() - 1
            } else {
                MOST
            }
        });
        if place < MOST { place as u64 + 1 } else { 0 }
    }

    /// The words behind a number.
    pub(crate) fn words(&self, number: u64) -> Option<&'static str> {
        let place = usize::try_from(number.checked_sub(1)?).ok()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(place).copied()
    }
}

/// The labels that one party used of late.
#[derive(Debug, Default)]
pub(crate) struct Recent([Option<(&'static str, u64)>; 8]);

impl Recent {
    /// The number of `label`, from `ask` if it is new here.
    #[inline(always)]
    pub(crate) fn number(&mut self, label: &'static str, ask: impl FnOnce(&'static str) -> u64) -> u64 {
        for (known, number) in self.0.iter().flatten() {
            if std::ptr::eq(*known, label) {
                return *number;
            }
        }
        self.learn(label, ask(label))
    }

    #[cold]
    fn learn(&mut self, label: &'static str, number: u64) -> u64 {
        self.0.rotate_right(1);
        self.0[0] = Some((label, number));
        number
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    /// Leaks `text`, where Miri still sees it.
    fn kept(text: String) -> &'static str {
        static ALL: Mutex<Vec<&str>> = Mutex::new(Vec::new());
        let text = text.leak();
        ALL.lock().unwrap().push(text);
        text
    }

    #[test]
    fn words_become_numbers_and_words_again() {
        let (labels, mut recent) = (Labels::default(), Recent::default());
        let texts = ["read", "compute", "write", "exchange", "sum", "read"];
        let numbers = texts.map(|label| recent.number(label, |label| labels.number(label)));
        assert_eq!(numbers, [1, 2, 3, 4, 5, 1]);
        assert_eq!(numbers.map(|number| labels.words(number).unwrap()), texts);
        assert_eq!((labels.words(0), labels.words(6)), (None, None));
        assert_eq!(recent.number("sum", |_| panic!("it is known")), 5);
        // Equal words elsewhere are the same label.
        let elsewhere = kept("write".to_owned());
        assert_eq!(recent.number(elsewhere, |label| labels.number(label)), 3);
    }

    #[test]
    fn labels_without_end_are_not_kept() {
        let labels = Labels::default();
        for n in 0..MOST + 10 {
            labels.number(kept(format!("{n}")));
        }
        assert_eq!(labels.number("one too many"), 0);
        assert_eq!(labels.words(0), None);
        assert_eq!(labels.number("0"), 1);
    }
}
