//! phalanx against every other barrier that is at hand: interleaved, with each result checked.
//!
//! `README.md` has the method and its bias. From below: [`clock`], [`place`], [`usage`], [`share`] and [`stats`] know
//! the machine, [`gate`], [`seat`], [`check`], [`length`] and [`play`] run the rounds, [`peer`] has the entrants,
//! [`shape`] the situations they are put in, [`report`] what came of it, and [`render`] how that is shown.

mod cgroup;
mod check;
mod cli;
mod clock;
mod gate;
mod length;
mod machine;
mod peer;
mod place;
mod play;
mod render;
mod report;
mod seat;
mod shape;
mod share;
mod stats;
mod usage;
mod watch;

use clap::Parser;
use cli::{Child, Cli, Shape};
use machine::Machine;
use place::{Place, allowed};
use render::{folder, headline};
use report::{Report, Section};
use shape::{
    Context, Mode, busy, cold, crowd, epcc, family, fork_join, imbalance, pair, quota, riders, skew, straggler, work,
};
use share::Since;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use std::{panic, process};

fn main() -> ExitCode {
    end_on_panic();
    let cli = Cli::parse();
    let done = match &cli.child {
        Some(Child::Busy { cpu, seconds }) => {
            busy::compete(*cpu, *seconds);
            Ok(ExitCode::SUCCESS)
        }
        Some(Child::Cold { on, peer }) => {
            Place::choose(Some(*on)).and_then(|place| cold::child(place, peer)).map(|()| ExitCode::SUCCESS)
        }
        Some(Child::Quota { on, parties, mode, group }) => {
            quota::child(*on, *parties, *mode, group).map(|()| ExitCode::SUCCESS)
        }
        Some(Child::Many { on, mode }) => family::many::child(on, *mode).map(|()| ExitCode::SUCCESS),
        Some(Child::Headline { report, check }) => show_headline(report.as_deref(), check.as_deref()),
        Some(Child::Render { report }) => render_again(report),
        Some(Child::Remote(told)) => peer::remote::child::serve(told).map(|()| ExitCode::SUCCESS),
        None => compare(&cli),
    };
    done.unwrap_or_else(|why| {
        eprintln!("versus: {why}");
        ExitCode::from(2)
    })
}

/// A party that panics leaves the others waiting in a barrier that knows nothing of it; most of the peers would hang.
fn end_on_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        process::exit(101);
    }));
}

fn compare(cli: &Cli) -> Result<ExitCode, String> {
    let place = Place::choose(cli.cpus)?;
    let context = Context { place, allowed: allowed()?, mode: cli.mode() };
    let used = cli.shapes().into_iter().map(|shape| used(shape, &context, cli)).max_by_key(Vec::len);
    let mut machine = Machine::look(place, &used.unwrap_or_default(), cli.mode_name());
    place.restrict();
    watch::start();
    let sections: Vec<Section> = cli.shapes().into_iter().map(|shape| measure(shape, &context, cli)).collect();
    machine.look_again(&sections);
    let report = Report { machine, sections };
    print!("{}", render::terminal::render(&report));
    let folder = match (&cli.out, cli.mode()) {
        (Some(folder), _) => Some(folder.clone()),
        (None, Mode::Smoke) => None,
        (None, _) => Some(folder::default(&report)),
    };
    if let Some(folder) = folder {
        println!();
        for file in folder::write(&report, &folder)? {
            println!("wrote {}", file.display());
        }
    }
    Ok(if report.is_wrong() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints the headline of a report, or holds a README to it.
fn show_headline(report: Option<&Path>, check: Option<&Path>) -> Result<ExitCode, String> {
    if let Some(path) = report {
        print!("{}", headline::render(&headline::load(path)?, &path.display().to_string()));
    }
    Ok(match check.map_or(Ok(()), headline::check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("versus: {why}");
            ExitCode::FAILURE
        }
    })
}

fn render_again(path: &Path) -> Result<ExitCode, String> {
    let report = headline::load(path)?;
    for file in folder::write_derived(&report, path.parent().unwrap_or(Path::new("")))? {
        println!("wrote {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The CPUs that a shape runs on.
fn used(shape: Shape, context: &Context, cli: &Cli) -> Vec<usize> {
    let many = || cli.party_counts(context.allowed.len()).into_iter().any(|parties| parties > 2);
    if shape == Shape::Family && many() { context.allowed.clone() } else { context.place.cpus.into() }
}

fn measure(shape: Shape, context: &Context, cli: &Cli) -> Section {
    eprintln!("versus: {}", shape.name());
    watch::shape(shape.name());
    let cpus = used(shape, context, cli);
    let (start, since) = (Instant::now(), Since::now(&cpus));
    let mut section = match shape {
        Shape::Pair => pair::run(context),
        Shape::Straggler => straggler::run(context),
        Shape::Crowd => crowd::run(context, &cli.crowd_sizes()),
        Shape::Busy => busy::run(context),
        Shape::Imbalance => imbalance::run(context),
        Shape::Cold => cold::run(context),
        Shape::Family => family::run(context, &cli.family_crowd_sizes(), &cli.party_counts(context.allowed.len())),
        Shape::ForkJoin => fork_join::run(context),
        Shape::Riders => riders::run(context, &cli.rider_crowd_sizes()),
        Shape::Skew => skew::run(context),
        Shape::Work => work::run(context),
        Shape::Quota => quota::run(context),
        Shape::Epcc => epcc::run(context),
    };
    let shares = since.shares();
    section.notes.push(format!(
        "meanwhile the hypervisor took {:.1} % of the {} CPUs' time, and other processes {:.1} %",
        shares.stolen,
        cpus.len(),
        shares.others
    ));
    section.seconds = start.elapsed().as_secs_f64();
    section
}
