//! The model against what was measured: by others, and in this repository.

use crate::machine::Fallible;
use crate::text::table;
use phalanx::Algorithm;
use phalanx::model::{Classes, Constants, Hops, Prediction, predict_counter};
use phalanx::topology::{Placement, Topology};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What two ranks of a machine with two packages cost each other on average, when they come in random order.
fn random_order(parties: usize, near: f64, far: f64) -> Hops {
    let (same, other) = ((parties / 2 - 1) as f64, (parties / 2) as f64);
    Hops::uniform(parties, (same * near + other * far) / (same + other))
}

fn off(predicted: f64, measured: f64) -> String {
    format!("{:+.0} %", (predicted / measured - 1.0) * 100.0)
}

/// Published measurements, with the stand-ins for the transfers that the model's own tests use.
pub fn published() -> Fallible<String> {
    // The constants of the published table that the model's tests reproduce: no factor fitted to any measurement.
    let mut bare = Constants::default();
    (bare.alpha, bare.rmw) = (1.0, 1.0);
    let predict = |hops: &Hops, one_line, constants: &Constants| {
        let none = || format!("no prediction for a counter of {} parties", hops.parties());
        predict_counter(hops, one_line, constants).map(|prediction| prediction.together).ok_or_else(none)
    };
    let mut rows = Vec::new();
    let mut add = |what: String, hops: &Hops, one_line, measured: f64| -> Fallible<()> {
        let ours = predict(hops, one_line, &Constants::default())?;
        let unfitted = predict(hops, one_line, &bare)?;
        rows.push([
            what,
            format!("{measured:.0}"),
            format!("{ours:.0}"),
            off(ours, measured),
            format!("{unfitted:.0}"),
            off(unfitted, measured),
        ]);
        Ok(())
    };
    for (parties, measured) in [(4, 689.0), (8, 1380.0), (16, 2970.0)] {
        let what = format!("`hurdles` 1.0, 2 x E5-2660 v3, {parties} threads");
        add(what, &random_order(parties, 50.0, 120.0), true, measured)?;
    }
    let measured = 4172.0 / 2.5; // cycles at 2.5 GHz
    let machine = Topology::regular(2, 1, 1, 10, 1)?;
    let ordered = Hops::from_cpus(machine.cpus(), &Classes { smt: 50.0, llc: 50.0, package: 50.0, machine: 138.0 });
    let what = |order| format!("GNU OpenMP, 2 x 10 IvyBridge cores, 20 threads, {order}");
    add(what("one package after the other"), &ordered, false, measured)?;
    add(what("in random order"), &random_order(20, 50.0, 138.0), false, measured)?;
    let head = ["barrier", "measured, ns", "predicted", "off", "predicted, `alpha` = `rmw` = 1", "off"];
    Ok(table(head, rows))
}

/// The report of one run of `benches/versus`.
pub struct Report {
    json: Value,
}

impl Report {
    pub fn read(path: &Path) -> Fallible<Self> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { json: serde_json::from_str(&text)? })
    }

    /// A peer in a table of a shape.
    fn row(&self, shape: &str, table: &str, peer: &str) -> Fallible<&Value> {
        let find = |list: &Value, key: &str, name: &str| -> Option<usize> {
            list.as_array()?.iter().position(|item| item[key] == name)
        };
        let none = || format!("the report has no `{peer}` in `{table}` of `{shape}`");
        let sections = &self.json["sections"];
        let tables = &sections[find(sections, "shape", shape).ok_or_else(none)?]["tables"];
        let rows = &tables[find(tables, "title", table).ok_or_else(none)?]["rows"];
        Ok(&rows[find(rows, "name", peer).ok_or_else(none)?])
    }

    /// The median of a peer, in nanoseconds.
    fn median(&self, shape: &str, table: &str, peer: &str) -> Fallible<f64> {
        let median = self.row(shape, table, peer)?["value"]["median"].as_f64();
        median.ok_or_else(|| format!("`{peer}` has no median in `{table}` of `{shape}`").into())
    }

    /// The median of a peer's paired ratios to phalanx.
    fn ratio(&self, shape: &str, table: &str, peer: &str) -> Fallible<f64> {
        let ratios = &self.row(shape, table, peer)?["ratios"];
        let ours = ratios.as_array().and_then(|ratios| ratios.iter().find(|ratio| ratio["to"] == "phalanx"));
        let median = ours.and_then(|ratio| ratio["is"]["median"].as_f64());
        median.ok_or_else(|| format!("`{peer}` has no ratio to phalanx in `{table}` of `{shape}`").into())
    }

    /// Two parties on two CPUs, measured and predicted. One number is fitted: the transfer, to the bare exchange.
    pub fn pair(&self) -> Fallible<String> {
        const TOGETHER: [&str; 2] = ["pair", "Against the floor"];
        const LATE: [&str; 2] = ["straggler", "Last arrival to last release, all delays"];
        let median = |[shape, table]: [&str; 2], peer| self.median(shape, table, peer);
        let constants = Constants::default();
        let transfer = median(TOGETHER, "both flags in one line")? - constants.overhead;
        let (hops, placement) = (Hops::uniform(2, transfer), Placement::anywhere(2));
        let mut rows = Vec::new();
        for (algorithm, peer) in
            [(Algorithm::Exchange, "phalanx Exchange, Spin"), (Algorithm::Central, "phalanx Central, Spin")]
        {
            let prediction = algorithm.predict(&placement, &hops, &constants);
            let Prediction { together, straggler } = prediction.ok_or("no prediction for two parties")?;
            for (what, table, predicted) in [("together", TOGETHER, together), ("one late", LATE, straggler)] {
                let measured = median(table, peer)?;
                let what = format!("{algorithm}, {what}");
                rows.push([what, format!("{measured:.0}"), format!("{predicted:.0}"), off(predicted, measured)]);
            }
        }
        Ok(table(["two parties", "measured, ns", "predicted", "off"], rows))
    }

    /// More parties than CPUs: measured, since there is nothing to predict with.
    pub fn crowd(&self) -> Fallible<String> {
        let row = |parties: usize| -> Fallible<[String; 5]> {
            let title = format!("{parties} parties, floating on 2 CPUs");
            let median = |peer| self.median("crowd", &title, peer);
            let micros = |nanos: f64| format!("{:.1}", nanos / 1000.0);
            Ok([
                parties.to_string(),
                micros(median("phalanx")?),
                micros(median("C++20 std::barrier")?),
                micros(median("std::sync::Barrier")?),
                format!("{:.1}", self.ratio("crowd", &title, "std::sync::Barrier")?),
            ])
        };
        let rows = [3, 4, 8, 16, 64, 256].into_iter().map(row).collect::<Fallible<Vec<_>>>()?;
        Ok(table(
            ["parties on 2 CPUs", "phalanx, µs", "C++20 `std::barrier`", "Rust's `std`", "`std` over phalanx, paired"],
            rows,
        ))
    }
}
