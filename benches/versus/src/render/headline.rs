//! The headline: a row per situation, for the project's README, and the check that the README has it as it is.
//!
//! A shape has several tables, and to choose some is to choose what to show. So the choice is fixed beforehand ([`SHOWN`]),
//! whatever the numbers; and of each shape there is also the table in which a rival comes closest to phalanx, the worst for
//! us, if it is none of those. All in it is in the JSON, or the quotient of two numbers there.

use super::grid::Grid;
use super::{Num, Sure};
use crate::machine::is_known;
use crate::peer::STD;
use crate::report::{Report, Row, Section, Table};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What is shown of a shape: the beginnings of its tables' titles.
const SHOWN: [(&str, &[&str]); 9] = [
    ("pair", &["Against the other barriers"]),
    ("straggler", &["Last arrival to last release, all delays"]),
    ("skew", &["Last arrival to last release, each up to 10 µs late, median"]),
    ("work", &["1 µs per phase", "10 µs per phase", "100 µs per phase"]),
    ("crowd", &["4 parties, dealt", "8 parties, dealt", "32 parties, dealt", "256 parties, dealt"]),
    ("busy", &["2 parties"]),
    ("quota", &["2 parties, 1 CPUs", "4 parties, 1 CPUs"]),
    ("fork-join", &["2 members, hot", "4 members", "8 members"]),
    ("riders", &["2 parties, a sum of f64"]),
];

/// A peer whose parties are no threads.
const TASKS: &str = "tokio, tasks";

/// One row.
struct Line<'a> {
    section: &'a Section,
    table: &'a Table,
    /// Shown because it is the worst, of so many.
    worst_of: Option<usize>,
    subject: &'a Row,
    closest: &'a Row,
    /// Of those whose parties are threads, if that is another.
    thread: Option<&'a Row>,
}

/// The table alone.
pub fn table(report: &Report) -> String {
    let head = ["shape", "phalanx", "closest rival over phalanx", "libgomp over phalanx", "std over phalanx"];
    let mut head: Vec<String> = head.map(String::from).into();
    head.push("CPU time, phalanx over libgomp".into());
    let mut grid = Grid::new(1, head);
    for line in report.sections.iter().flat_map(lines) {
        let Line { section, table, worst_of, subject, closest, thread } = line;
        let which = worst_of.map(|of| format!(" (the worst of {of})")).unwrap_or_default();
        let ratio =
            |row: Option<&Row>| row.and_then(|row| row.over(&subject.name)).map(|is| Num(is.median).to_string());
        let gomp = rival(table, "libgomp", "libgomp");
        let std = rival(table, STD, "std::");
        let named = |row: &Row| {
            let is = row.over(&subject.name).map(|is| Sure(is).to_string()).unwrap_or_default();
            format!("{}: {is}", row.name)
        };
        let thread = thread.map(|row| format!("; of threads {}", named(row))).unwrap_or_default();
        grid.row(vec![
            format!("{}: {}{which}", section.shape, table.title),
            format!("{} {}", Num(subject.value.median), table.unit),
            format!("{}{thread}", named(closest)),
            ratio(gomp).unwrap_or_default(),
            ratio(std).unwrap_or_default(),
            gomp.and_then(|gomp| burnt(subject, gomp)).map(|is| Num(is).to_string()).unwrap_or_default(),
        ]);
    }
    grid.to_string()
}

/// The table, and where it is from: what stands in the README.
pub fn render(report: &Report, path: &str) -> String {
    let machine = &report.machine;
    let mut out = table(report);
    write!(
        out,
        "\nRatios above 1: phalanx is faster; medians of paired rounds, [95 % interval]. The tables are the same in each run, and of each shape there is the one in which a rival comes closest. \
         std is `std::sync::Barrier`; of fork and join, `std::thread::scope`. \
         From [`{path}`]({path}): {}, {}, commit `{}`, {}, `{}`.",
        machine.cpu, machine.kernel, machine.commit, machine.date, machine.command
    )
    .expect("a String takes everything");
    if !machine.warnings.is_empty() {
        write!(out, " Warnings of that run: {}.", machine.warnings.join("; ")).expect("a String takes everything");
    }
    out.push('\n');
    out
}

/// The tables of a section that are shown.
fn lines(section: &Section) -> Vec<Line<'_>> {
    let candidates = section.tables.iter().filter_map(|table| {
        let subject = table.subject()?;
        let ratio = |row: &&Row| row.over(&subject.name).map_or(f64::NAN, |is| is.median);
        let rivals = || table.rows.iter().filter(|row| row.role == "rival" && ratio(row).is_finite());
        let closest = rivals().min_by(|a, b| ratio(a).total_cmp(&ratio(b)))?;
        let of_threads = rivals().filter(|row| row.name != TASKS).min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let thread = of_threads.filter(|row| row.name != closest.name);
        Some((ratio(&closest), Line { section, table, worst_of: None, subject, closest, thread }))
    });
    let mut all: Vec<_> = candidates.collect();
    let of = all.len();
    let worst = (0..of).min_by(|&a, &b| all[a].0.total_cmp(&all[b].0));
    if let Some((_, worst)) = worst.and_then(|worst| all.get_mut(worst)) {
        worst.worst_of = Some(of).filter(|of| *of > 1);
    }
    let shown = SHOWN.iter().find(|(shape, _)| *shape == section.shape).map_or(&[][..], |(_, titles)| titles);
    // Not what a table is followed by: a phase, and then what of it is the barrier's.
    let begins = |title: &str, so: &str| title.strip_prefix(so).is_some_and(|rest| !rest.starts_with(':'));
    let wanted = |line: &Line<'_>| shown.iter().any(|so| begins(&line.table.title, so)) || of == 1;
    let lines = all.into_iter().map(|(_, line)| line);
    lines.filter(|line| line.worst_of.is_some() || wanted(line)).collect()
}

/// The rival of that name, or else the first whose name begins so.
fn rival<'a>(table: &'a Table, name: &str, beginning: &str) -> Option<&'a Row> {
    let rivals = || table.rows.iter().filter(|row| row.role == "rival");
    rivals().find(|row| row.name == name).or_else(|| rivals().find(|row| row.name.starts_with(beginning)))
}

fn burnt(subject: &Row, by: &Row) -> Option<f64> {
    Some(subject.cost.as_ref()?.cpu_ns / by.cost.as_ref()?.cpu_ns).filter(|ratio| ratio.is_finite())
}

/// A report from its file.
///
/// # Errors
///
/// It cannot be read, or is none.
pub fn load(path: &Path) -> Result<Report, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut report: Report =
        serde_json::from_str(&text).map_err(|e| format!("{}: no report of this version: {e}", path.display()))?;
    report.machine.warn_again(&report.sections);
    Ok(report)
}

const BEGIN: &str = "<!-- versus: ";
const END: &str = "<!-- /versus -->";

/// Whether each headline table in a file is what its report says, and that report fit to be shown.
///
/// # Errors
///
/// What is not so, line by line.
pub fn check(file: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    check_text(&text, |path| load(&folder.join(path))).map_err(|why| format!("{}: {why}", file.display()))
}

fn check_text(text: &str, load: impl Fn(&str) -> Result<Report, String>) -> Result<(), String> {
    let mut rest = text;
    let mut tables = 0;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (path, after) = after.split_once(" -->").ok_or(format!("`{BEGIN}` without `-->`"))?;
        let (is, after) = after.split_once(END).ok_or(format!("{BEGIN}{path} --> without {END}"))?;
        let report = load(path)?;
        if !is_known(&report.machine.commit) {
            return Err(format!("{path} is of commit {}, which nobody else can look at", report.machine.commit));
        }
        if report.machine.mode == "smoke" {
            return Err(format!("{path} is of a smoke run, which measures nothing"));
        }
        let should = format!("\n{}", render(&report, path));
        if is != should {
            return Err(format!("what stands between the marks is not what {path} says:\n{}", difference(is, &should)));
        }
        (rest, tables) = (after, tables + 1);
    }
    if tables == 0 { Err(format!("no `{BEGIN}FILE -->` in it")) } else { Ok(()) }
}

/// Lines that only one of them has.
fn difference(is: &str, should: &str) -> String {
    let only = |sign: char, a: &str, b: &str| {
        let absent = a.lines().filter(|line| !b.lines().any(|other| other == *line));
        absent.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    let lines = only('-', is, should) + &only('+', should, is);
    if lines.is_empty() { "the lines are the same, but for their order or empty ones\n".into() } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::awkward;

    #[test]
    fn the_tables_that_are_shown_and_the_worst_of_each_shape() {
        let text = table(&awkward());
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .map(|line| line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect())
            .collect();
        assert_eq!(rows.len(), 2, "{text}");
        assert_eq!(rows[0][1..], ["120 ns/trip", "spin<T>: 2.00 [2.00, 2.10]", "3.00", "800", "0.500"]);
        assert_eq!(rows[1][0], "crowd: 4 parties, dealt out on 2 CPUs (the worst of 2)");
        assert_eq!(rows[1][2..], ["std::sync::Barrier: 8.20 [8.20, 8.20]", "", "8.20", ""]);
    }

    #[test]
    fn a_readme_is_held_to_its_report() {
        let report = |_: &str| Ok(awkward());
        let good = format!("# Title\n\n{BEGIN}a/report.json -->\n{}{END}\nmore\n", render(&awkward(), "a/report.json"));
        assert_eq!(check_text(&good, report), Ok(()));
        let why = check_text(&good.replace("2.00 [", "2.50 ["), report).unwrap_err();
        assert!(why.contains("\n- | pair") && why.contains("\n+ | pair") && !why.contains("crowd"), "{why}");
        assert!(check_text(&good.replace("\nRatios", "\n\nRatios"), report).is_err());
        assert!(check_text("# Nothing\n", report).is_err());
        assert!(check_text(&good.replace(END, ""), report).is_err());
        assert!(check_text(&good, |_| Err("gone".into())).is_err());
    }

    #[test]
    fn only_a_known_commit_and_a_real_run_may_be_shown() {
        let of = |commit: &str, mode: &str| {
            let mut report = awkward();
            report.machine.commit = commit.into();
            report.machine.mode = mode.into();
            let text = format!("{BEGIN}r -->\n{}{END}", render(&report, "r"));
            let back = serde_json::to_string(&report).unwrap();
            check_text(&text, |_| serde_json::from_str(&back).map_err(|e| e.to_string()))
        };
        assert_eq!(of("a87dc5806d90", "quick"), Ok(()));
        assert!(of("a87dc5806d90-dirty", "full").unwrap_err().contains("nobody else"));
        assert!(of("unknown (no commit, or no git)", "full").is_err());
        assert!(of("a87dc5806d90", "smoke").is_err());
    }
}
