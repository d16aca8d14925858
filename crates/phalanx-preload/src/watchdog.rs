//! `PHALANX_WATCHDOG`: says on stderr which barrier is stuck, and which threads it waits for.
//!
//! The callers themselves keep the watch: each looks up from its wait every so often, and the first to find that a report is due
//! writes it. So there is no thread of ours in the program, and a barrier at which nobody waits is not watched, nor need it be.
//!
//! Missing are those who have waited at the barrier before, or are new, and are not inside now. That is known for the threads of
//! this process alone.

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
    let doubt = if absent.len() > missing { "may be " } else { "" };
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
    if absent.len() > missing {
        let _ = writeln!(text, "phalanx:   {missing} of these {} it is", absent.len());
    } else if strangers > 0 && slot.shared.load(Ordering::Relaxed) {
        let _ = writeln!(text, "phalanx:   missing: {strangers} of other processes, or that have never been here");
    } else if strangers > 0 {
        let _ = writeln!(text, "phalanx:   missing: {strangers} that never came");
    }
    let pid = std::process::id();
    let _ = writeln!(text, "phalanx:   to see all stacks: gdb -p {pid} -batch -ex 'thread apply all bt'");
    text
}

fn is_absent(member: &&Member) -> bool {
    member.thread.load(Ordering::Relaxed) != 0 && member.inside.load(Ordering::Relaxed) == 0
}
