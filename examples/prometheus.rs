//! What a barrier counts, served to Prometheus over HTTP: four workers in step, one of them late on purpose, and a scrape that
//! shows which.
//!
//! ```text
//! cargo run --release --features metrics,hdr --example prometheus
//! cargo run --release --features metrics,hdr --example prometheus -- --serve 127.0.0.1:9464
//! ```
//!
//! The first scrapes itself once, checks the answer and ends. The second stays, for a Prometheus with this in its
//! `prometheus.yml`:
//!
//! ```text
//! scrape_configs:
//!   - job_name: phalanx
//!     scrape_interval: 5s
//!     static_configs:
//!       - targets: ["127.0.0.1:9464"]
//! ```
//!
//! Questions to ask it then:
//!
//! ```text
//! # is it moving, and how fast
//! rate(phalanx_trips_total[1m])
//! # for how many the others wait now
//! phalanx_parties - phalanx_parties_arrived
//! # for whom they wait mostly
//! topk(1, rate(phalanx_party_last_total[1m]))
//! # the share of their time that is spent waiting
//! phalanx_waiting_ratio
//! # how late the last one is
//! histogram_quantile(0.99, rate(phalanx_arrival_skew_seconds_bucket[1m]))
//! # has it broken, and why
//! increase(phalanx_breaks_total{cause!="dropped"}[5m]) > 0
//! ```

use clap::Parser;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use phalanx::observe::{Publisher, Sampling, Stats};
use phalanx::{Barrier, Broken, CancelToken, Party};
use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use tiny_http::{Header, Response, Server};

/// Serves what a barrier counts to Prometheus
#[derive(Parser)]
#[command(name = "prometheus", version)]
struct Options {
    /// Stay, and serve here; without it, serve on any free port, scrape once and end
    #[arg(long, value_name = "ADDRESS")]
    serve: Option<SocketAddr>,
    /// Workers
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// The rank that is late
    #[arg(long, default_value_t = 2)]
    late: usize,
    /// By how many microseconds
    #[arg(long, default_value_t = 200)]
    by: u64,
}

/// What the text is, without which Prometheus 3 does not read it.
const FORMAT: &str = "Content-Type: text/plain; version=0.0.4; charset=utf-8";

/// Trips before the example asks.
const TRIPS: u64 = 2_000;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let options = Options::parse();
    if options.late >= usize::from(options.threads) {
        return Err(format!("there is no rank {} of {} to be late", options.late, options.threads).into());
    }
    // Without buckets the exporter would make summaries of them.
    let times = Matcher::Suffix("_seconds".into());
    let exporter = PrometheusBuilder::new().set_buckets_for_metric(times, &Publisher::BUCKETS)?.install_recorder()?;
    let server = Server::http(options.serve.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))))?;
    let address = server.server_addr().to_ip().ok_or("not an IP address")?;
    println!("serving http://{address}/metrics");

    let over = CancelToken::new();
    let builder = Barrier::builder(options.threads.into()).name("steps").statistics(Sampling::one_in(8));
    let barrier = builder.cancel_on(&over).build()?;
    let parties = barrier.take_parties()?;
    thread::scope(|scope| {
        for party in parties {
            scope.spawn(|| work(party, options.late, Duration::from_micros(options.by)));
        }
        scope.spawn(|| serve(&server, &exporter, &barrier));
        if options.serve.is_some() {
            return Ok(());
        }
        while barrier.generation() < TRIPS {
            thread::sleep(Duration::from_millis(1));
        }
        let before = barrier.stats();
        let answer = minreq::get(format!("http://{address}/metrics")).with_timeout(60).send();
        // Whatever came of it, everybody goes home.
        over.cancel("the example is over");
        server.unblock();
        check(answer?.as_str()?, &before, options.late)
    })
}

/// A worker: one of them is late on each step.
fn work(mut party: Party, late: usize, by: Duration) -> Broken {
    loop {
        if party.rank() == late {
            thread::sleep(by);
        }
        if let Err(broken) = party.wait() {
            return broken;
        }
    }
}

/// Answers each scrape with a snapshot of that moment. The workers know nothing of it.
fn serve(server: &Server, exporter: &PrometheusHandle, barrier: &Barrier) {
    let mut publisher = Publisher::new().by_rank();
    for request in server.incoming_requests() {
        publisher.publish(&barrier.stats());
        let format: Header = FORMAT.parse().expect("a header");
        // Who asked may have gone: no reason to end.
        drop(request.respond(Response::from_string(exporter.render()).with_header(format)));
    }
}

/// Reads the answer as a Prometheus would, and sees whether it is true.
fn check(text: &str, before: &Stats, late: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let scrape = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned())))?;
    let values = |metric: &'static str| {
        scrape.samples.iter().filter(move |sample| sample.metric == metric).filter_map(|sample| match sample.value {
            prometheus_parse::Value::Counter(value) | prometheus_parse::Value::Gauge(value) => Some((sample, value)),
            // The sum and count of a histogram.
            prometheus_parse::Value::Untyped(value) => Some((sample, value)),
            _ => None,
        })
    };
    let trips = values("phalanx_trips_total").map(|(_, value)| value).sum::<f64>();
    assert!(trips >= before.trips as f64 && before.trips >= TRIPS);
    let breaks = values("phalanx_breaks_total").map(|(_, value)| value).sum::<f64>();
    assert_eq!(breaks, 0.0);
    let waits = values("phalanx_wait_seconds_count").map(|(_, value)| value).sum::<f64>();
    let waited = values("phalanx_wait_seconds_sum").map(|(_, value)| value).sum::<f64>();
    let timing = before.timing.as_ref().ok_or("nothing was timed")?;
    assert!(waits >= timing.wait().count() as f64 && waits >= 1.0);
    let (last, often) =
        values("phalanx_party_last_total").max_by(|a, b| a.1.total_cmp(&b.1)).ok_or("nobody was ever last")?;
    let looks = values("phalanx_party_looks_total").map(|(_, value)| value).fold(0.0, f64::max);
    let rank = last.labels.get("rank").ok_or("no rank")?;
    println!("{} series; no break in at least {TRIPS} trips", scrape.samples.len());
    println!("a wait takes {:.0} µs on average, of {waits} timed", 1e6 * waited / waits);
    println!("the others wait for rank {rank}: last on {:.0} % of the trips looked at", 100.0 * often / looks);
    assert_eq!(rank, late.to_string());
    Ok(())
}
