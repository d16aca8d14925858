//! The tables, as Markdown.

use crate::forecast::{Choice, Cost, Forecast, Pick, Row, pick};
use crate::machine::{Fallible, Machine};
use phalanx::Algorithm;
use phalanx::model::Classes;
use phalanx::topology::Bind;

/// The columns of the summary.
const GLANCE: [usize; 8] = [2, 4, 8, 16, 32, 64, 128, 256];
/// One of the two numbers of a prediction.
type Of = fn(&Cost) -> u64;
const TOGETHER: Of = |cost| cost.together;
const STRAGGLER: Of = |cost| cost.straggler;
/// Marks parties that share cores.
const SHARED: &str = "\u{2020}";

/// A table with its first column to the left and the others to the right.
pub fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut text = line(&head.map(str::to_owned));
    text += &format!("|---|{}\n", "---:|".repeat(N - 1));
    rows.into_iter().for_each(|row| text += &line(&row));
    text
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Machine by parties: what `Auto` takes and what that costs.
pub fn summary(forecasts: &[Forecast]) -> String {
    let mut head = vec!["machine".to_owned()];
    head.extend(GLANCE.map(|parties| format!("{parties} parties")));
    head.push("every core".to_owned());
    let mut text = line(&head);
    text += &format!("|---|{}\n", "---|".repeat(GLANCE.len() + 1));
    for forecast in forecasts {
        let cell = |parties| {
            let row = forecast.row(parties)?;
            let mark = if parties > forecast.machine.cores() { SHARED } else { "" };
            Some(format!("{}: {}{mark}", row.auto, row.auto.cost))
        };
        let kind = if forecast.machine.is_measured { "" } else { " (by class)" };
        let mut cells = vec![format!("**{}**{kind}", forecast.machine.name)];
        cells.extend(GLANCE.map(|parties| cell(parties).unwrap_or_default()));
        let cores = forecast.machine.cores();
        cells.push(cell(cores).map(|cell| format!("{cores} parties, {cell}")).unwrap_or_default());
        text += &line(&cells);
    }
    text += &format!("\nNever the least below, but for ties: {}.\n", never_best(forecasts).join(", "));
    text
}

/// The algorithms that win nowhere, neither together nor with a straggler.
fn never_best(forecasts: &[Forecast]) -> Vec<String> {
    let rows = || forecasts.iter().flat_map(|forecast| &forecast.rows);
    let wins = |index: usize| rows().any(|row| [TOGETHER, STRAGGLER].iter().any(|of| best(row, *of) == Some(index)));
    let named = Algorithm::NAMED.into_iter().enumerate();
    named.filter(|(index, _)| !wins(*index)).map(|(_, algorithm)| algorithm.to_string()).collect()
}

/// All that is said of each machine.
pub fn machines(forecasts: &[Forecast]) -> String {
    forecasts.iter().map(machine).collect::<Vec<_>>().join("\n")
}

fn machine(forecast: &Forecast) -> String {
    let Forecast { machine, rows, choices } = forecast;
    let mut text = format!("### {}\n\n{}.", machine.name, machine.what);
    if let Some(classes) = machine.classes() {
        let from = if machine.is_measured { "Medians of its table" } else { "By class" };
        text += &format!(" {from}: {}.", steps(machine, &classes).join(", "));
    }
    text += "\n\n";
    let names = Algorithm::NAMED.map(|algorithm| algorithm.to_string());
    text += &line(&[vec!["parties".to_owned()], names.to_vec(), vec!["`Auto` takes".to_owned()]].concat());
    text += &format!("|---:|{}---|\n", "---:|".repeat(names.len()));
    rows.iter().for_each(|row| text += &costs(row, machine));
    text.push('\n');
    text += &format!("- together: {}\n", crossings(rows, TOGETHER));
    text += &format!("- straggler: {}\n", crossings(rows, STRAGGLER));
    text += &format!("- `Auto`, for every number of parties: {}\n", autos(choices));
    text += &format!("- `Auto` without `Builder::hops`: {}\n", guesses(choices));
    text += &format!("\n![{} on a log scale](choosing/{}.svg)\n", machine.name, machine.file);
    text
}

/// What a transfer costs, where the machine has such a step.
fn steps(machine: &Machine, classes: &Classes) -> Vec<String> {
    let Classes { smt, llc, package, machine: far } = *classes;
    let (shape, cores) = (machine.shape(), machine.cores());
    let steps = [
        (machine.cpus() > cores, smt, "between SMT siblings"),
        (true, llc, "within a cache"),
        (shape.llcs() > shape.packages(), package, "between caches of a package"),
        (shape.packages() > 1, far, "between packages"),
    ];
    let steps = steps.into_iter().filter(|(has, ..)| *has);
    steps.map(|(_, nanos, what)| format!("{nanos:.0} ns {what}")).collect()
}

/// The least of each kind in bold.
fn costs(row: &Row, machine: &Machine) -> String {
    let least = |of: Of| row.costs.iter().map(of).min().unwrap_or(0);
    let (together, straggler) = (least(TOGETHER), least(STRAGGLER));
    let bold = |nanos: u64, least| if nanos == least { format!("**{nanos}**") } else { nanos.to_string() };
    let cells = row.costs.iter();
    let cells = cells.map(|cost| format!("{} / {}", bold(cost.together, together), bold(cost.straggler, straggler)));
    let mark = if row.parties > machine.cores() { SHARED } else { "" };
    let mut all = vec![format!("{}{mark}", row.parties)];
    all.extend(cells);
    all.push(row.auto.to_string());
    line(&all)
}

/// Neighbours of the same name, as the name with its first and last number of parties.
fn runs<T: PartialEq>(named: impl Iterator<Item = (usize, T)>) -> Vec<(T, usize, usize)> {
    let mut runs: Vec<(T, usize, usize)> = Vec::new();
    for (parties, name) in named {
        match runs.last_mut() {
            Some((last, _, to)) if *last == name => *to = parties,
            _ => runs.push((name, parties, parties)),
        }
    }
    runs
}

/// Puts neighbours together that are short, for where two are close the lead goes to and fro.
fn settle(runs: Vec<(String, usize, usize)>) -> Vec<(String, usize, usize)> {
    let is_short = |from: usize, to: usize| to * 10 < from * 11;
    let mut settled: Vec<(Vec<String>, usize, usize, bool)> = Vec::new();
    for (name, from, to) in runs {
        match settled.last_mut() {
            Some((names, _, last, true)) if is_short(from, to) => {
                if !names.contains(&name) {
                    names.push(name);
                }
                *last = to;
            }
            _ => settled.push((vec![name], from, to, is_short(from, to))),
        }
    }
    settled.into_iter().map(|(names, from, to, _)| (names.join(" and "), from, to)).collect()
}

fn words(runs: &[(String, usize, usize)]) -> String {
    let last = runs.len().saturating_sub(1);
    let run = |(index, (name, from, to)): (usize, &(String, usize, usize))| match index {
        0 if last == 0 => format!("{name} throughout"),
        0 => format!("{name} up to {to}"),
        _ if index == last => format!("{name} from {from}"),
        _ if from == to => format!("{name} at {from}"),
        _ => format!("{name} from {from} to {to}"),
    };
    runs.iter().enumerate().map(run).collect::<Vec<_>>().join(", ")
}

/// The algorithm with the least cost in a row; of equals the simplest.
fn best(row: &Row, of: Of) -> Option<usize> {
    (0..row.costs.len()).min_by_key(|&index| of(&row.costs[index]))
}

/// Who is best up to where, in the table.
fn crossings(rows: &[Row], of: Of) -> String {
    let name = |row: &Row| best(row, of).map(|index| Algorithm::NAMED[index].to_string()).unwrap_or_default();
    words(&runs(rows.iter().map(|row| (row.parties, name(row)))))
}

fn autos(choices: &[Choice]) -> String {
    let name = |pick: &Pick| pick.algorithm.to_string();
    words(&settle(runs(choices.iter().map(|choice| (choice.parties, name(&choice.told))))))
}

/// Where the guess leads to another choice, and by how much that is worse.
fn guesses(choices: &[Choice]) -> String {
    let other = |choice: &&Choice| choice.guess_costs.both() > choice.told.cost.both();
    let over = |choice: &Choice| choice.guess_costs.both() as f64 / choice.told.cost.both() as f64 * 100.0 - 100.0;
    let others: Vec<&Choice> = choices.iter().filter(other).collect();
    let Some(worst) = others.iter().max_by(|one, two| over(one).total_cmp(&over(two))) else {
        return "no worse".to_owned();
    };
    format!(
        "worse for {} of {} numbers of parties; at worst {} instead of {} for {}, {:.0} % more",
        others.len(),
        choices.len(),
        worst.guessed.algorithm,
        worst.told.algorithm,
        worst.parties,
        over(worst)
    )
}

/// The same parties close together and spread out.
pub fn placements(machine: &Machine) -> Fallible<String> {
    let counts = GLANCE.into_iter().filter(|&parties| parties <= machine.cores());
    let row = |parties: usize| -> Fallible<[String; 6]> {
        let (close, spread) = (pick(machine, &Bind::Close, parties)?, pick(machine, &Bind::Spread, parties)?);
        let ratio = spread.cost.both() as f64 / close.cost.both() as f64;
        Ok([
            parties.to_string(),
            close.to_string(),
            close.cost.to_string(),
            spread.to_string(),
            spread.cost.to_string(),
            format!("{ratio:.1}"),
        ])
    };
    let rows = counts.map(row).collect::<Fallible<Vec<_>>>()?;
    Ok(table(["parties", "`Close`", "ns", "`Spread`", "ns", "times as long"], rows))
}
