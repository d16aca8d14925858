//! Writes the tables of `docs/choosing.md`, between its markers, and the plots beside it; with `--check` it only says
//! whether they are what the library predicts now.
//!
//! [`machine`] has the machines, [`forecast`] asks the library, [`world`] holds its model against measurements, [`text`]
//! and [`plot`] write it down.

mod forecast;
mod machine;
mod plot;
mod text;
mod world;

use forecast::Forecast;
use machine::Fallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

/// The machine whose placements are compared.
const TWO_SOCKETS: &str = "2 x EPYC 7763";
/// What was measured in this repository.
const REPORT: &str = "docs/results/2026-11-20-xeon-2cpu/versus.json";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let check = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--check"] => true,
        _ => {
            eprintln!(
                "usage: choosing [--check]\nwrites docs/choosing.md, or says whether it is as it would be written"
            );
            return ExitCode::from(2);
        }
    };
    match run(check) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("choosing: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(check: bool) -> Fallible<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut stale = 0;
    for (path, text) in files(&root)? {
        let is = fs::read_to_string(&path).unwrap_or_default();
        if is == text {
            continue;
        }
        let name = path.strip_prefix(&root).unwrap_or(&path).display();
        if check {
            stale += 1;
            let line = is.lines().zip(text.lines()).take_while(|(is, new)| is == new).count();
            let [is, new] = [&is, &text].map(|text| text.lines().nth(line).unwrap_or("(nothing)"));
            eprintln!("{name}, line {}, is not what the library predicts now:\n- {is}\n+ {new}", line + 1);
        } else {
            fs::write(&path, text).map_err(|error| format!("{name}: {error}"))?;
            println!("{name} written");
        }
    }
    if stale > 0 {
        eprintln!("choosing: files that are old: {stale}; cargo run --release -p phalanx-choosing writes them anew");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// All files, as they should be.
fn files(root: &Path) -> Fallible<Vec<(PathBuf, String)>> {
    let forecasts: Vec<Forecast> = machine::all(root)?.into_iter().map(Forecast::new).collect::<Fallible<_>>()?;
    let two_sockets = forecasts.iter().map(|forecast| &forecast.machine).find(|machine| machine.name == TWO_SOCKETS);
    let report = world::Report::read(&root.join(REPORT))?;
    let parts = [
        ("summary", text::summary(&forecasts)),
        ("placements", text::placements(two_sockets.ok_or("no machine of that name")?)?),
        ("published", world::published()?),
        ("pair", report.pair()?),
        ("crowd", report.crowd()?),
        ("machines", text::machines(&forecasts)),
    ];
    let path = root.join("docs/choosing.md");
    let mut page = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    for (name, part) in parts {
        page = replace(&page, name, &part)?;
    }
    let mut files = vec![(path, page)];
    for forecast in &forecasts {
        let path = root.join("docs/choosing").join(forecast.machine.file).with_extension("svg");
        files.push((path, plot::svg(forecast)?));
    }
    Ok(files)
}

/// The page with another part between the markers of `name`.
fn replace(page: &str, name: &str, part: &str) -> Fallible<String> {
    let (begin, end) = (format!("<!-- begin {name}"), format!("<!-- end {name} -->"));
    let parts = page.split_once(&begin).and_then(|(before, rest)| {
        let (note, rest) = rest.split_once("-->")?;
        let (_, after) = rest.split_once(&end)?;
        Some((before, note, after))
    });
    let (before, note, after) = parts.ok_or_else(|| format!("docs/choosing.md has no part `{name}`"))?;
    Ok(format!("{before}{begin}{note}-->\n{part}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::replace;

    #[test]
    fn only_what_is_between_the_markers_of_one_name_is_replaced() {
        let page = "a\n<!-- begin one: note -->\nold\n<!-- end one -->\nb\n<!-- begin two -->\n<!-- end two -->\n";
        let new = replace(page, "one", "new\n").unwrap();
        assert_eq!(new, page.replace("old", "new"));
        assert_eq!(replace(&new, "one", "new\n").unwrap(), new);
        assert!(replace(page, "three", "").is_err());
        assert!(replace("<!-- begin one --> <!-- end two -->", "one", "").is_err());
    }
}
