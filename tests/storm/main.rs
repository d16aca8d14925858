//! Everything that can happen to a barrier, drawn at random and compared with a sequential model: reductions and their
//! kin, split phases, joins, leaves, aborts, timeouts, resets, deserters, panics of everything that can panic, parties
//! that do not do the same.
//!
//! A script ([`script`]) is a list of rounds. In a round all members make some trips, each doing what the script says,
//! without anybody keeping step but the barrier under test ([`drive`]), or some of them do not come ([`lack`]). Behind
//! each round the model ([`model`]) says what each party must have seen on each of its trips, and everything is compared
//! ([`judge`]).
//! Where things race (an abort with the arrivals, a join with the trip) the model has a set of answers: which trip broke,
//! and with which cause, is taken from what happened, has to be one of those that may have, and then has to be what
//! everybody was told; likewise which trip is a newcomer's first. All else follows. `PHALANX_TEST_TALLY` set to anything,
//! with `--nocapture`, shows how often what has happened.
//!
//! What shows only on one party's clock (nobody is released early, no limit is missed) is tested elsewhere: `conformance`.

#[path = "../common/mod.rs"]
mod common;

mod books;
mod crew;
mod drive;
mod freight;
mod judge;
mod lack;
mod model;
mod plan;
mod recover;
mod script;
mod tally;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use tally::Tally;

/// More than a script has members at any time.
const CREW: usize = 8;

const SCRIPTS: usize = 10_000;

#[test]
fn any_script_is_played_as_the_model_says() {
    // A party that hangs is found by the stage, which then shrinks the script; this is for the rest.
    let patience = 5 * common::patience();
    common::watched("storm", patience, |watch| {
        let current = Arc::new(Mutex::new(None));
        let shown = Arc::clone(&current);
        watch.show(move || format!("{:#?}", shown.lock().unwrap()));
        let mut seed = [0; 32];
        let mut rng = watch.rng();
        seed.chunks_exact_mut(8).for_each(|bytes| bytes.copy_from_slice(&rng.next().to_le_bytes()));
        let config = Config {
            cases: u32::try_from(common::scaled(SCRIPTS)).unwrap_or(u32::MAX),
            failure_persistence: None,
            max_shrink_iters: 2_000,
            max_shrink_time: 60_000,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let tally = RefCell::new(Tally::default());
        std::thread::scope(|scope| {
            let crew = crew::Crew::new(scope, watch, CREW);
            let result = runner.run(&script::scripts(), |script| {
                *current.lock().unwrap() = Some(script.clone());
                tally.borrow_mut().scripts += 1;
                drive::play(&script, &crew, &mut tally.borrow_mut())
            });
            if let Err(error) = result {
                panic!("{error}");
            }
        });
        let tally = tally.into_inner();
        // Few scripts need not have seen everything.
        if common::scaled(SCRIPTS) >= SCRIPTS {
            tally.demand(SCRIPTS / 200);
        }
        if std::env::var_os("PHALANX_TEST_TALLY").is_some() {
            println!("{tally:#?}");
        }
    });
}
