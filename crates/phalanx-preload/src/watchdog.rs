//! `PHALANX_WATCHDOG`: says on stderr which barrier is stuck, and which threads it waits for.
//!
//! The callers themselves keep the watch: each looks up from its wait every so often, and the first to find that a report is due
//! writes it. So there is no thread of ours in the program, and a barrier at which nobody waits is not watched, nor need it be.
//!
//! Missing are those who have waited at the barrier before, or are new, and are not inside now. Where these are more than the trip
//! lacks, nobody knows which of them it is, nor whether it is one of them: it may be a thread that has never come. Threads are known
//! of this process alone, and those that have ended only until others need their places.

use crate::say::say;
use crate::slots::{Member, Slot};
use crate::threads::spell;
use phalanx::compat::in_place::{Sight, threads};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bits of [`Slot::reports`] that count the reports of one batch; the batch, + 1, is above them.
const COUNT: u32 = 6;

/// Threads that one report names.
const NAMED: usize = 16;

/// A caller looks up. One report when the time is up, and then whenever the wait has doubled.
pub(crate) fn look(slot: &Slot, sight: Sight, after: Duration) {
    let batch = sight.batch.wrapping_add(1) << COUNT;
    let old = slot.reports.load(Ordering::Relaxed);
    let count = if old >> COUNT == batch >> COUNT { old as u32 & ((1 << COUNT) - 1) } else { 0 };
    let due = 1u32.checked_shl(count).and_then(|times| after.checked_mul(times)).unwrap_or(Duration::MAX);
    if sight.waited >= due
        // Relaxed: one caller has to succeed, no more.
        && slot
            .reports
            .compare_exchange(old, batch | u64::from(count + 1), Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    {
        say(&report(slot, sight));
    }
}

/// A batch has come to its end: good news, if there were bad ones.
pub(crate) fn moved(slot: &Slot, batch: u64) {
    if slot.reports.load(Ordering::Relaxed) >> COUNT == batch.wrapping_add(1) & (u64::MAX >> COUNT) {
        let _undisturbed = crate::say::Undisturbed::new();
        say(&format!("phalanx: {}: trip {batch} is complete now\n", title(slot)));
    }
}

fn title(slot: &Slot) -> String {
    let (address, parties) = (slot.address.load(Ordering::Relaxed), slot.parties.load(Ordering::Relaxed));
    let origin = slot.line().map_or("elsewhere", |line| line.origin());
    format!("barrier {address:#x} ({parties} parties, made at {origin})")
}

fn report(slot: &Slot, sight: Sight) -> String {
    let parties = slot.parties.load(Ordering::Relaxed);
    let missing = parties.saturating_sub(sight.arrived) as usize;
    let Sight { batch, arrived, waited } = sight;
    let mut text = format!(
        "phalanx: {}: trip {batch} is stuck for {waited:.1?}: {arrived} of {parties} have arrived\n",
        title(slot)
    );
    let mut absent: Vec<&Member> = slot.members().iter().filter(is_absent).collect();
    // Whoever was here for the last trip is likelier to be missed than a thread that has not come for long.
    absent.sort_by_key(|member| std::cmp::Reverse(member.batch.load(Ordering::Relaxed)));
    let ids = absent.iter().take(NAMED).map(|member| {
        let name = spell(member.name.words());
        (member.thread.load(Ordering::Relaxed), name)
    });
    let is_shared = slot.shared.load(Ordering::Relaxed);
    let is_certain = absent.len() <= missing && !is_shared && !slot.has_unplaced() && !slot.has_forgotten();
    let doubt = if is_certain { "" } else { "may be " };
    for (thread, member) in threads(ids.collect()).iter().zip(&absent) {
        let _ = match member.batch.load(Ordering::Relaxed).checked_sub(1) {
            Some(last) => writeln!(text, "phalanx:   {doubt}missing: {thread}; was here for trip {last}"),
            None => writeln!(text, "phalanx:   {doubt}missing: {thread}"),
        };
    }
    if absent.len() > NAMED {
        let _ = writeln!(text, "phalanx:   {doubt}missing: {} more that were here once", absent.len() - NAMED);
    }
    let strangers = missing.saturating_sub(absent.len());
    if strangers == 0 && !doubt.is_empty() && !absent.is_empty() {
        let others = if missing == 1 { "another" } else { "others" };
        let _ = writeln!(text, "phalanx:   {missing} of these {}, or {others} {}", absent.len(), unnamed(slot));
    } else if strangers > 0 {
        let _ = writeln!(text, "phalanx:   missing: {strangers} {}", unnamed(slot));
    }
    let pid = std::process::id();
    let _ = writeln!(text, "phalanx:   to see all stacks: gdb -p {pid} -batch -ex 'thread apply all bt'");
    text
}

/// What is known of those who may be missing and cannot be named.
fn unnamed(slot: &Slot) -> String {
    let kinds = [
        (slot.shared.load(Ordering::Relaxed), "of other processes, or "),
        (true, "that "),
        (slot.has_unplaced(), "came unnamed, or "),
        (slot.has_forgotten(), "ended, or "),
        (true, "never came"),
    ];
    kinds.into_iter().filter(|(applies, _)| *applies).map(|(_, words)| words).collect()
}

fn is_absent(member: &&Member) -> bool {
    member.thread.load(Ordering::Relaxed) != 0 && member.inside.load(Ordering::Relaxed) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVED: Sight = Sight { batch: 9, arrived: 3, waited: Duration::from_secs(1) };

    /// What is said of a barrier of four at which so many threads were, none of which is there now.
    fn said(threads: u32, shared: bool, prepare: impl Fn(&Slot)) -> String {
        let slot = Slot::new();
        slot.settle(8, 4, shared, None);
        for (thread, member) in slot.crowd().iter().take(threads as usize).enumerate() {
            // Such numbers the kernel does not give.
            member.thread.store(1 << 23 | thread as u32, Ordering::Relaxed);
            member.batch.store(thread as u64 + 1, Ordering::Relaxed);
        }
        prepare(&slot);
        report(&slot, ARRIVED)
    }

    fn lump(slot: &Slot) {
        slot.crowd().last().unwrap().batch.store(1, Ordering::Relaxed);
    }

    #[test]
    fn nothing_is_said_for_certain_that_is_not() {
        let ends = |text: &str, line: &str| {
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[lines.len() - 2], format!("phalanx:   {line}"), "{text}");
        };
        let text = said(16, false, |_| {});
        ends(&text, "1 of these 16, or another that never came");
        assert_eq!(text.matches("may be missing: ").count(), NAMED, "{text}");
        // The one who was here last comes first.
        assert!(text.lines().nth(1).is_some_and(|line| line.ends_with("was here for trip 15")), "{text}");
        ends(&said(16, false, lump), "1 of these 16, or another that came unnamed, or never came");
        ends(&said(16, true, |_| {}), "1 of these 16, or another of other processes, or that never came");
        ends(&said(0, false, |_| {}), "missing: 1 that never came");
        ends(&said(0, false, lump), "missing: 1 that came unnamed, or never came");
        ends(&said(0, true, |_| {}), "missing: 1 of other processes, or that never came");
        // Whether it is the one who is known, nobody knows either.
        let text = said(1, false, lump);
        ends(&text, "1 of these 1, or another that came unnamed, or never came");
        assert!(text.contains("may be missing: "), "{text}");
        ends(&said(1, true, |_| {}), "1 of these 1, or another of other processes, or that never came");
        let forget = |slot: &Slot| slot.forgotten.store(true, Ordering::Relaxed);
        ends(&said(1, false, forget), "1 of these 1, or another that ended, or never came");
        let text = said(1, false, |_| {});
        assert!(text.contains("  missing: ") && !text.contains("may be") && !text.contains("never came"), "{text}");
    }
}
