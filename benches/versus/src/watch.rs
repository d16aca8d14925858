//! A peer that hangs must not take the benchmark with it in silence.

use crate::peer::remote;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// No round of anybody takes a tenth of this.
const PATIENCE: Duration = Duration::from_secs(90);

struct State {
    who: String,
    shape: String,
    since: Instant,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Starts to watch. Looks twice a second, which costs nobody anything.
pub fn start() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let state = STATE.lock().expect("nobody panics while holding it");
            if let Some(State { who, shape, since }) = &*state
                && since.elapsed() > PATIENCE
            {
                eprintln!("versus: {shape}: no round of `{who}` has ended for {PATIENCE:?}: it hangs, and is killed");
                // The others' processes would end with this one, but those that somebody else started for us.
                remote::end_all();
                std::process::exit(3);
            }
        }
    });
}

/// The shape that is about to be measured.
pub fn shape(name: &str) {
    let state = State { who: "?".into(), shape: name.into(), since: Instant::now() };
    *STATE.lock().expect("nobody panics while holding it") = Some(state);
}

/// Nothing is measured here for a while.
pub fn nothing() {
    *STATE.lock().expect("nobody panics while holding it") = None;
}

/// A round begins.
pub fn progress(name: &str) {
    if let Some(state) = &mut *STATE.lock().expect("nobody panics while holding it") {
        state.since = Instant::now();
        state.who.clear();
        state.who.push_str(name);
    }
}
