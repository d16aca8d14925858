//! What really happened in all scripts: nothing was tested by what did not.

use super::crew::{Deed, Manner, Seen};
use super::script::Freight;
use phalanx::Cause;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) scripts: usize,
    pub(crate) trips: usize,
    events: BTreeMap<String, usize>,
}

/// Everything that has to occur.
const EVENTS: &[&str] = &[
    "told: TimedOut",
    "told: Aborted",
    "told: Panicked",
    "told: Dropped",
    "told: ActionPanicked",
    "told: OperatorPanicked",
    "told: Mismatched",
    "told: NoSuchRank",
    "told: Reset",
    "join before",
    "join in the storm",
    "join on broken",
    "reset in the storm",
    "reset of a broken barrier",
    "abort in the storm",
    "patient enough",
    "heard late",
    "burial",
    "claimed again",
    "end",
    "left",
    "deserted",
    "own panic",
    "arrived only",
    "Wait",
    "Limited",
    "Deadline",
    "ArriveAndWait",
    "ArriveAndAsk",
    "ArriveAndAskForTime",
    "ArriveAndPeek",
    "Arrive",
    "AllReduce Word",
    "AllReduce Line",
    "AllReduce Huge",
    "AllReduce Cloned",
    "Reduce Word",
    "Reduce Line",
    "Reduce Huge",
    "Reduce Cloned",
    "Broadcast Word",
    "Broadcast Line",
    "Broadcast Huge",
    "Broadcast Cloned",
    "AllGather Word",
    "AllGather Line",
    "AllGather Huge",
    "AllGather Cloned",
    "Scan Word",
    "Scan Line",
    "Scan Huge",
    "Scan Cloned",
    "Serial Word",
    "Serial Cloned",
];

impl Tally {
    pub(crate) fn count(&mut self, event: &str) {
        *self.events.entry(event.to_owned()).or_default() += 1;
    }

    pub(crate) fn cause(&mut self, cause: &Cause) {
        let name = format!("{cause:?}");
        let end = name.find([' ', '{']).unwrap_or(name.len());
        self.count(&format!("told: {}", &name[..end]));
    }

    pub(crate) fn deed(&mut self, deed: &Deed, seen: &Seen) {
        match (deed, seen) {
            (Deed::Leave, _) => self.count("left"),
            (Deed::Desert { .. }, _) => self.count("deserted"),
            (_, Seen::Panicked) => self.count("own panic"),
            (Deed::Meet(Manner::Arrive), _) => self.count("Arrive"),
            (Deed::Meet(manner), Seen::Crossed { .. }) => self.count(&format!("{manner:?}")),
            (Deed::Meet(_), Seen::Arrived) => self.count("arrived only"),
            (Deed::Value(share), Seen::Got(_)) => {
                let name = format!("{:?}", share.op);
                let freight: Freight = share.freight;
                self.count(&format!("{} {freight:?}", &name[..name.find(' ').unwrap_or(name.len())]));
            }
            _ => {}
        }
    }

    /// Everything has occurred, and not just once.
    pub(crate) fn demand(&self, least: usize) {
        let times = |event: &str| self.events.get(event).copied().unwrap_or(0);
        let rare: Vec<_> =
            EVENTS.iter().filter(|event| times(event) < least).map(|event| (event, times(event))).collect();
        assert!(rare.is_empty(), "too rare: {rare:?} in {self:#?}");
    }
}
