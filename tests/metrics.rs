//! What a scrape says: an HTTP client asks a server, a Prometheus parser reads the answer, and the numbers are those of
//! `Barrier::stats`.
#![cfg(all(feature = "metrics", feature = "hdr", not(miri)))] // a server and its client: Miri has no sockets

mod common;

use common::{patience, scaled, until, watched};
use metrics::with_local_recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use phalanx::observe::{Histogram, Publisher, Sampling, Stats};
use phalanx::team::{Rendezvous, Team};
use phalanx::{Barrier, Cause, Party, WaitPolicy};
use prometheus_parse::{LineInfo, Sample, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Serves what a recorder has, as a program would.
struct Server {
    server: Arc<tiny_http::Server>,
    address: SocketAddr,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(handle: PrometheusHandle) -> Self {
        let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let address = server.server_addr().to_ip().unwrap();
        let serving = Arc::clone(&server);
        let thread = thread::spawn(move || {
            for request in serving.incoming_requests() {
                request.respond(tiny_http::Response::from_string(handle.render())).unwrap();
            }
        });
        Self { server, address, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.server.unblock();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A metric with its labels.
type Series = (String, BTreeMap<String, String>);

/// One answer, read.
struct Scrape {
    text: String,
    samples: Vec<Sample>,
}

impl Scrape {
    fn of(server: &Server) -> Self {
        let response = minreq::get(format!("http://{}/metrics", server.address)).with_timeout(60).send().unwrap();
        assert_eq!(response.status_code, 200);
        let text = response.as_str().unwrap().to_owned();
        // The parser passes over what it does not understand.
        for line in text.lines() {
            assert_ne!(LineInfo::parse(line), LineInfo::Ignored, "not understood: {line}");
        }
        let parsed = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        Self { text, samples: parsed.samples }
    }

    /// The counters and what they stand at.
    fn counters(&self) -> BTreeMap<Series, u64> {
        let counters = self.samples.iter().filter_map(|sample| match sample.value {
            Value::Counter(value) => {
                assert!(value >= 0.0 && value.fract() == 0.0 && value < 2_f64.powi(53), "{sample:?}");
                Some(((sample.metric.clone(), labels(sample)), value as u64))
            }
            _ => None,
        });
        counters.collect()
    }

    /// The sum of all series of a counter or gauge that have these labels.
    fn sum(&self, metric: &str, wanted: &[(&str, &str)]) -> f64 {
        let mut found = 0;
        let values = self.samples.iter().filter(|sample| sample.metric == metric).filter_map(|sample| {
            let fits = wanted.iter().all(|(label, value)| sample.labels.get(label) == Some(value));
            match sample.value {
                Value::Counter(value) | Value::Gauge(value) if fits => {
                    found += 1;
                    Some(value)
                }
                _ => None,
            }
        });
        let sum = values.sum();
        assert!(found > 0, "no {metric} with {wanted:?} in\n{}", self.text);
        sum
    }

    /// That the histogram of a barrier that has had one algorithm is this one, as far as buckets can tell.
    fn assert_has(&self, metric: &str, barrier: &str, histogram: &Histogram) {
        let of_barrier = |name: &str| {
            let fits = |sample: &&Sample| sample.metric == name && sample.labels.get("barrier") == Some(barrier);
            let found: Vec<_> = self.samples.iter().filter(fits).collect();
            assert_eq!(found.len(), 1, "{name} of {barrier} in\n{}", self.text);
            found[0].value.clone()
        };
        let Value::Histogram(buckets) = of_barrier(metric) else { panic!("{metric} is no histogram\n{}", self.text) };
        let bounds: Vec<f64> = buckets.iter().map(|bucket| bucket.less_than).collect();
        assert_eq!(bounds, [Publisher::BUCKETS.as_slice(), &[f64::INFINITY]].concat());
        for bucket in buckets {
            let below = histogram.iter().filter(|(value, _)| value.as_secs_f64() <= bucket.less_than);
            let below: u64 = below.map(|(_, count)| count).sum();
            assert_eq!(bucket.count, below as f64, "{metric} up to {} s of {histogram}", bucket.less_than);
        }
        let number = |name: &str| match of_barrier(name) {
            Value::Untyped(value) => value,
            value => panic!("{name} is {value:?}"),
        };
        assert_eq!(number(&format!("{metric}_count")), histogram.count() as f64);
        let sum: f64 = histogram.iter().map(|(value, count)| value.as_secs_f64() * count as f64).sum();
        let told = number(&format!("{metric}_sum"));
        assert!((told - sum).abs() <= 1e-9 * (1.0 + sum), "{metric}: {told} s for {sum} s");
    }

    /// That it says what the snapshot says.
    fn assert_agrees(&self, stats: &Stats) {
        let barrier = ("barrier", stats.name.as_str());
        let expected = [
            ("phalanx_trips_total", stats.trips),
            ("phalanx_resets_total", stats.resets),
            ("phalanx_timeouts_total", stats.timeouts()),
            ("phalanx_aborts_total", stats.aborts()),
            ("phalanx_breaks_total", stats.all_breaks()),
            ("phalanx_long_waits_total", stats.waits()),
            ("phalanx_spins_total", stats.spins()),
            ("phalanx_yields_total", stats.yields()),
            ("phalanx_parks_total", stats.parks()),
            ("phalanx_wakes_total", stats.wakes()),
            ("phalanx_parties", stats.parties as u64),
            ("phalanx_parties_arrived", stats.arrived as u64),
        ];
        for (metric, value) in expected {
            assert_eq!(self.sum(metric, &[barrier]), value as f64, "{metric} of {stats:?}");
        }
        if let Some(timing) = &stats.timing {
            self.assert_has("phalanx_wait_seconds", &stats.name, &timing.wait());
            self.assert_has("phalanx_arrival_skew_seconds", &stats.name, &timing.skew);
            assert_eq!(self.sum("phalanx_samples_dropped_total", &[barrier]), 0.0);
        }
        for (kind, &count) in &stats.breaks {
            assert_eq!(self.sum("phalanx_breaks_total", &[barrier, ("cause", kind)]), count as f64, "{kind}");
        }
    }
}

fn labels(sample: &Sample) -> BTreeMap<String, String> {
    sample.labels.iter().map(|(label, value)| (label.clone(), value.clone())).collect()
}

fn exporter() -> PrometheusBuilder {
    let of_time = Matcher::Suffix("_seconds".into());
    PrometheusBuilder::new().set_buckets_for_metric(of_time, &Publisher::BUCKETS).unwrap()
}

fn recorder() -> PrometheusRecorder {
    exporter().build_recorder()
}

/// Two parties cross until they are told of a break.
fn cross(parties: &mut [Party]) -> Vec<Cause> {
    thread::scope(|scope| {
        let workers: Vec<_> = parties
            .iter_mut()
            .map(|party| {
                scope.spawn(move || {
                    loop {
                        if let Err(broken) = party.wait() {
                            return broken.cause().clone();
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

#[test]
fn a_scrape_says_what_the_snapshot_says() {
    watched("a_scrape_says_what_the_snapshot_says", patience(), |_| {
        let recorder = recorder();
        let server = Server::start(recorder.handle());
        let mut publisher = Publisher::new();
        let mut publish = |barrier: &Barrier| {
            let stats = barrier.stats();
            with_local_recorder(&recorder, || publisher.publish(&stats));
            stats
        };
        // One that sleeps and is broken in every way, and one that rests.
        let builder = Barrier::builder(2).name("halo").wait_policy(WaitPolicy::Park).statistics(Sampling::one_in(2));
        let barrier = builder.build().unwrap();
        let quiet = Barrier::builder(3).name("quiet").build().unwrap();
        let mut parties = barrier.take_parties().unwrap();
        for round in 0..3 {
            // Abort.
            thread::scope(|scope| {
                let (barrier, from) = (&barrier, barrier.generation());
                scope.spawn(move || {
                    until(|| barrier.generation() >= from + 100);
                    barrier.abort("enough, they say");
                });
                let told = cross(&mut parties);
                assert!(told.iter().all(|cause| cause.kind() == "aborted"), "{told:?}");
            });
            barrier.reset().unwrap();
            parties.iter_mut().for_each(|party| drop(party.wait_timeout(Duration::from_millis(1))));
            // One of them timed out, alone; the other is told.
            assert_eq!(barrier.broken().unwrap().cause().kind(), "timed_out");
            barrier.reset().unwrap();
            // A wait that nobody comes to, at the time of the scrape.
            let stats = thread::scope(|scope| {
                scope.spawn(|| parties[0].wait().unwrap_err());
                until(|| barrier.arrived() == 1);
                let stats = publish(&barrier);
                let quiet = publish(&quiet);
                let scrape = Scrape::of(&server);
                scrape.assert_agrees(&stats);
                scrape.assert_agrees(&quiet);
                barrier.abort("over");
                stats
            });
            barrier.reset().unwrap();
            drop(parties[1].wait_timeout(Duration::from_millis(1)));
            drop(parties[0].wait_timeout(Duration::from_millis(1)));
            barrier.reset().unwrap();
            assert_eq!((stats.arrived, stats.parties), (1, 2));
            assert!(stats.trips > 100 * round && stats.aborts() > round && stats.timeouts() > round, "{stats:?}");
            assert!(stats.timing.as_ref().is_some_and(|timing| timing.wait().count() > 50 * round), "{stats:?}");
            assert!(stats.parks() > 0 && stats.wakes() > 0, "{stats:?}");
        }
        // A panic, then the handle that is left.
        let [stays, panics] = <[Party; 2]>::try_from(parties).unwrap();
        let planted = thread::spawn(move || {
            let _party = panics;
            std::panic::resume_unwind(Box::new("planted"));
        });
        planted.join().unwrap_err();
        let _replaced = barrier.claim(1).unwrap();
        barrier.reset().unwrap();
        drop(stays);
        let stats = publish(&barrier);
        assert_eq!((stats.breaks_of("panicked"), stats.breaks_of("dropped")), (1, 1), "{stats:?}");
        Scrape::of(&server).assert_agrees(&stats);
    });
}

#[test]
fn counters_never_go_back_while_the_parties_cross() {
    watched("counters_never_go_back_while_the_parties_cross", patience(), |_| {
        let recorder = recorder();
        let server = Server::start(recorder.handle());
        let barrier = Barrier::builder(2).name("busy").statistics(Sampling::one_in(64)).build().unwrap();
        let mut parties = barrier.take_parties().unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut publisher = Publisher::new().by_rank();
                while !done.load(Ordering::Relaxed) {
                    with_local_recorder(&recorder, || publisher.publish(&barrier.stats()));
                    thread::yield_now();
                }
            });
            let crossing = scope.spawn(|| cross(&mut parties));
            let mut last = BTreeMap::new();
            let mut grown = 0;
            until(|| barrier.generation() > 0);
            for _ in 0..scaled(20) {
                let now = Scrape::of(&server).counters();
                for (series, count) in &last {
                    assert!(now.get(series) >= Some(count), "{series:?} was {count} and is {:?}", now.get(series));
                }
                grown += usize::from(last.iter().any(|(series, count)| now[series] > *count));
                last = now;
            }
            assert!(grown > 0);
            barrier.abort("enough");
            crossing.join().unwrap();
            done.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn the_count_is_one_whatever_algorithms_it_took() {
    let recorder = recorder();
    let server = Server::start(recorder.handle());
    let mut publisher = Publisher::new();
    let barrier = Barrier::builder(1).name("grows").build().unwrap();
    let mut parties = barrier.take_parties().unwrap();
    let mut algorithms = BTreeSet::new();
    watched("the_count_is_one_whatever_algorithms_it_took", patience(), |_| {
        for _ in 0..6 {
            thread::scope(|scope| {
                for party in &mut parties {
                    scope.spawn(|| (0..10).for_each(|_| _ = party.wait().unwrap()));
                }
            });
            let stats = barrier.stats();
            with_local_recorder(&recorder, || publisher.publish(&stats));
            Scrape::of(&server).assert_agrees(&stats);
            algorithms.insert(stats.algorithm);
            // The open trip is without the newcomer.
            let newcomer = barrier.join().unwrap();
            thread::scope(|scope| {
                for party in &mut parties {
                    scope.spawn(|| _ = party.wait().unwrap());
                }
            });
            parties.push(newcomer);
        }
    });
    let shown = Scrape::of(&server).counters().into_keys().filter_map(|(_, mut labels)| labels.remove("algorithm"));
    assert_eq!(shown.collect::<BTreeSet<_>>(), algorithms);
}

#[test]
fn names_labels_and_types_are_as_promised() {
    let barrier = Barrier::builder(2).name("halo").statistics(Sampling::ALL).build().unwrap();
    let mut parties = barrier.take_parties().unwrap();
    thread::scope(|scope| {
        for party in &mut parties {
            scope.spawn(|| (0..100).for_each(|_| _ = party.wait().unwrap()));
        }
    });
    for by_rank in [false, true] {
        let mut texts = Vec::new();
        // An exporter that adds units and `_total` to names has nothing to add.
        for recommended in [false, true] {
            let recorder = exporter().with_recommended_naming(recommended).build_recorder();
            let server = Server::start(recorder.handle());
            let mut publisher = if by_rank { Publisher::new().by_rank() } else { Publisher::new() };
            with_local_recorder(&recorder, || publisher.publish(&barrier.stats()));
            let scrape = Scrape::of(&server);
            let mut lines: Vec<_> = scrape.text.lines().map(str::to_owned).collect();
            lines.sort();
            texts.push(lines);

            let heads = |kind| {
                let start = format!("# {kind} ");
                let heads = scrape.text.lines().filter_map(|line| line.strip_prefix(&start)?.split_once(' '));
                heads.collect::<BTreeMap<_, _>>()
            };
            let (types, help) = (heads("TYPE"), heads("HELP"));
            assert_eq!(types.keys().collect::<Vec<_>>(), help.keys().collect::<Vec<_>>());
            for sample in &scrape.samples {
                let name = sample.metric.as_str();
                let family = ["_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
                let plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                assert!(plain && name.starts_with("phalanx_"), "{name}");
                let kind = *types.get(family).unwrap_or_else(|| panic!("{family} has no type"));
                assert_eq!(family.ends_with("_total"), kind == "counter", "{name} is a {kind}");
                assert_eq!(family.ends_with("_seconds"), kind == "histogram", "{name} is a {kind}");
                let mut labels = labels(sample);
                if name == "phalanx_build_info" {
                    assert_eq!(labels, BTreeMap::from([("version".into(), env!("CARGO_PKG_VERSION").into())]));
                    continue;
                }
                assert_eq!(labels.remove("barrier").as_deref(), Some("halo"), "{sample:?}");
                assert_eq!(labels.remove("algorithm"), Some(barrier.algorithm().to_string()), "{sample:?}");
                let more = match name {
                    "phalanx_breaks_total" => Some("cause"),
                    _ if name.starts_with("phalanx_party_") => Some("rank"),
                    _ => None,
                };
                assert_eq!(labels.keys().map(String::as_str).collect::<Vec<_>>(), Vec::from_iter(more), "{sample:?}");
            }
            let ranks = scrape.samples.iter().filter(|sample| sample.labels.contains_key("rank")).count();
            assert_eq!(ranks, if by_rank { 4 * 2 } else { 0 });
            // Each cause is there before anything has broken.
            assert_eq!(scrape.sum("phalanx_breaks_total", &[("cause", "timed_out")]), 0.0);
            assert_eq!(scrape.sum("phalanx_build_info", &[]), 1.0);
        }
        assert_eq!(texts[0], texts[1]);
    }
}

/// A team whose run has broken gets another barrier of the same name for the next one.
#[test]
fn a_team_whose_run_breaks_goes_on_counting() {
    watched("a_team_whose_run_breaks_goes_on_counting", patience(), |_| {
        let recorder = recorder();
        let server = Server::start(recorder.handle());
        let mut publisher = Publisher::new().by_rank();
        let team = Team::builder().threads(2).name("crew").build().unwrap();
        let (mut trips, mut breaks, mut last) = (0, 0, BTreeMap::new());
        let mut numbers = BTreeSet::new();
        // Fewer each time: none of these passes what the one before it has counted.
        for crossings in [40, 20, 10] {
            team.run(|member| (0..crossings).for_each(|_| _ = member.wait().unwrap())).unwrap();
            team.run(|member| {
                if member.rank() == 1 {
                    team.abort("planned");
                }
                member.wait().unwrap_err();
            })
            .unwrap();
            let stats = team.stats();
            with_local_recorder(&recorder, || publisher.publish(&stats));
            numbers.insert(stats.number);
            (trips, breaks) = (trips + stats.trips, breaks + stats.all_breaks());
            let scrape = Scrape::of(&server);
            assert_eq!(scrape.sum("phalanx_trips_total", &[("barrier", "crew")]), trips as f64, "{stats}");
            assert_eq!(scrape.sum("phalanx_breaks_total", &[("cause", "aborted")]), breaks as f64, "{stats}");
            let now = scrape.counters();
            for (series, count) in &last {
                assert!(now.get(series) >= Some(count), "{series:?} was {count} and is {:?}", now.get(series));
            }
            last = now;
        }
        assert!(trips >= 70 && breaks == 3 && numbers.len() == 3, "{trips} {breaks} {numbers:?}");
    });
}

#[test]
fn a_barrier_built_anew_continues_until_it_is_forgotten() {
    let recorder = recorder();
    let server = Server::start(recorder.handle());
    let mut publisher = Publisher::new();
    let halo = [("barrier", "halo")];
    for (trips, all) in [(30, 30), (5, 35), (0, 35), (7, 42)] {
        let barrier = Barrier::builder(1).name("halo").statistics(Sampling::ALL).build().unwrap();
        let mut party = barrier.claim(0).unwrap();
        (0..trips).for_each(|_| _ = party.wait().unwrap());
        with_local_recorder(&recorder, || publisher.publish(&barrier.stats()));
        let scrape = Scrape::of(&server);
        assert_eq!(scrape.sum("phalanx_trips_total", &halo), f64::from(all));
        let waits = scrape.samples.iter().find(|sample| sample.metric == "phalanx_wait_seconds_count").unwrap();
        assert_eq!(waits.value, Value::Untyped(f64::from(all)));
        assert_eq!(scrape.sum("phalanx_parties", &halo), 1.0);
    }
    with_local_recorder(&recorder, || publisher.forget("halo"));
    let scrape = Scrape::of(&server);
    for gauge in ["parties", "parties_arrived", "waiting_ratio", "imbalance_ratio"] {
        assert_eq!(scrape.sum(&format!("phalanx_{gauge}"), &halo), 0.0, "{gauge}");
    }
    // The recorder's counters are as they were.
    assert_eq!(scrape.sum("phalanx_trips_total", &halo), 42.0);
}
