//! The table of the statistics.

use crate::lines::{self, Line};
use crate::say::say;
use crate::settings::Target;
use crate::slots::{self, MOST_SHARED, SLOTS, UNSEEN};
use crate::threads::spell;
use std::ffi::{CStr, c_char};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

unsafe extern "C" {
    /// glibc's: the last part of what the program was called by.
    static program_invocation_short_name: *const c_char;
}

/// Prints what there is, to where it was asked for.
pub(crate) fn print(target: &Target) {
    for slot in slots::live() {
        if let Some(line) = slot.line() {
            line.collect(slot);
        }
    }
    let pid = std::process::id();
    let Some(text) = render(pid) else { return };
    let Target::File(pattern) = target else { return say(&text) };
    let path = Target::path(pattern, pid);
    if let Err(error) = std::fs::write(&path, &text) {
        say(&format!("phalanx: the statistics cannot be written to {}: {error}\n{text}", path.display()));
    }
}

/// `None` if there was no barrier.
fn render(pid: u32) -> Option<String> {
    let sum = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
    let (mut lines, idle): (Vec<&Line>, Vec<&Line>) = lines::all().partition(|line| sum(&line.sums.waits) > 0);
    let idle: u64 = idle.into_iter().map(|line| sum(&line.made)).sum();
    if lines.is_empty() && idle == 0 {
        return None;
    }
    lines.sort_by_key(|line| std::cmp::Reverse(sum(&line.sums.waited)));
    // SAFETY: set by the C library before any of this runs, to a string that ends.
    let program = unsafe { CStr::from_ptr(program_invocation_short_name) }.to_string_lossy();
    let mut text = format!("phalanx: barriers of {program} (process {pid}), by the time spent waiting\n");
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(lines.into_iter().map(row));
    if rows.len() == 1 {
        rows.clear();
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for row in &rows {
        let mut line = String::from("phalanx:");
        for (cell, (column, width)) in row.iter().zip(widths.into_iter().enumerate()) {
            let _ = if column < NUMBERS { write!(line, "  {cell:>width$}") } else { write!(line, "  {cell:<width$}") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if idle > 0 {
        let _ = writeln!(text, "phalanx: not listed: {idle} at which nobody waited");
    }
    let unseen = UNSEEN.load(Ordering::Relaxed);
    if unseen > 0 {
        let _ = writeln!(
            text,
            "phalanx: not observed: {unseen}, since {SLOTS} at the same time, {MOST_SHARED} of them process-shared, are the most"
        );
    }
    Some(text)
}

const COLUMNS: usize = 10;
/// Columns of numbers, which stand to the right.
const NUMBERS: usize = 8;
const HEAD: [&str; COLUMNS] =
    ["parties", "made", "trips", "waiting", "spins", "yields", "parks", "slowest wait", "last most often", "made at"];

fn row(line: &Line) -> [String; COLUMNS] {
    let sum = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
    let key = line.key();
    let waits = sum(&line.sums.waits);
    let trips = sum(&line.trips);
    let straggler = line.straggler().map_or_else(String::new, |(comer, times)| {
        let (thread, name) = (comer.thread(), spell(comer.name.words()));
        format!("{} of trips: `{name}` (thread {thread})", percent(times, trips))
    });
    // What a wait took of the time from one trip to the next, both on average: of all parties, or of those in this process.
    let mean = u128::from(sum(&line.sums.waited)) * u128::from(trips) / u128::from(waits.max(1));
    let waiting = percent(u64::try_from(mean).unwrap_or(u64::MAX), if waits == 0 { 0 } else { sum(&line.lifetime) });
    [
        if key.parties == 0 { "any".to_owned() } else { key.parties.to_string() },
        sum(&line.made).to_string(),
        trips.to_string(),
        waiting,
        sum(&line.sums.spins).to_string(),
        sum(&line.sums.yields).to_string(),
        sum(&line.sums.parks).to_string(),
        format!("{:.1?}", Duration::from_nanos(sum(&line.sums.slowest))),
        straggler,
        if key.shared { format!("{} (process-shared)", line.origin()) } else { line.origin().to_owned() },
    ]
}

/// Such as `35 %`.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.0} %", part as f64 * 100.0 / whole as f64) }
}
