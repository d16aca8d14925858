//! What snapshots that are read back promise (`crate::fuzzing`).

use super::stats::Stats;

/// A snapshot as JSON.
pub fn snapshot(data: &[u8]) {
    let Ok(stats) = serde_json::from_slice::<Stats>(data) else { return };
    let written = serde_json::to_string(&stats).expect("what was read can be written");
    let again: Stats = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(again, stats);
    assert!(!stats.to_string().is_empty());
    assert_eq!(stats.since(&stats).trips, 0);
}
