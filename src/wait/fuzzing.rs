//! What the parsers of `PHALANX_WAIT_POLICY`, `PHALANX_SPIN` and `PHALANX_WATCHDOG` promise (`crate::fuzzing`).

use super::WaitPolicy;
use super::policy::{Watchdog, parse_duration, parse_watchdog};
use crate::fuzzing::names;
use std::time::Duration;

/// Names of policies: those that are printed, whatever the case, with or without `-` and `_`.
pub fn wait_policy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let letters: String = text
        .trim()
        .chars()
        .filter(|letter| !matches!(letter, '-' | '_'))
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let known = ["spin", "spinyield", "spinpark", "park", "adaptive"].iter().position(|name| *name == letters);
    match text.parse::<WaitPolicy>() {
        Ok(policy) => {
            assert_eq!(known.map(|place| WaitPolicy::ALL[place]), Some(policy));
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        Err(error) => {
            assert_eq!(known, None, "{error}");
            let shown: String = text.chars().take(40).collect();
            assert!(names(&error.to_string(), &shown), "{error}");
        }
    }
}

/// The whole nanoseconds that a text means, or that its number is too long to be told here.
enum Meant {
    Exactly(u128),
    Infinite,
    Huge,
    Nothing(&'static str),
}

/// A number, perhaps with a fraction, and a unit; digit by digit.
fn meant(text: &str) -> Meant {
    let text = text.trim().to_lowercase();
    if text == "infinite" {
        return Meant::Infinite;
    }
    let number: String = text.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    let unit = text[number.len()..].trim();
    let mut parts = number.split('.');
    let (whole, part) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if parts.next().is_some() || whole.len() + part.len() == 0 {
        return Meant::Nothing("does not begin with a number");
    }
    let zero = number.chars().all(|digit| matches!(digit, '0' | '.'));
    let nanos: u128 = match unit {
        "" if zero => 1,
        // Next to nothing is nothing.
        "" if whole.trim_start_matches('0').is_empty() && part.len() > 300 => return Meant::Huge,
        "" => return Meant::Nothing("the unit is missing"),
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Meant::Nothing("the unit is not"),
    };
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    if whole.len() > 12 || part.len() > 9 {
        return Meant::Huge;
    }
    let parse = |digits: &str| digits.bytes().fold(0, |number, digit| number * 10 + u128::from(digit - b'0'));
    let scale = 10_u128.pow(part.len() as u32);
    Meant::Exactly((parse(whole) * scale + parse(part)) * nanos / scale)
}

/// Durations such as `20us`, `1.5 ms`, `0`, `infinite`.
pub fn duration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match (parse_duration(&text), meant(&text)) {
        (Ok(read), Meant::Exactly(nanos)) => {
            // Two roundings of a double on the way, and one to whole nanoseconds.
            let off = read.as_nanos().abs_diff(nanos);
            assert!(off <= 1 + (nanos >> 50), "{read:?} for {nanos} ns");
            same_when_printed(read);
        }
        (Ok(read), Meant::Infinite) => assert_eq!(read, Duration::MAX),
        (Ok(_), Meant::Huge) => {}
        (Err(error), Meant::Huge) => {
            let error = error.to_string();
            assert!(error.contains("out of range") || error.contains("the unit is missing"), "{error}");
        }
        (Err(error), Meant::Nothing(why)) => assert!(error.to_string().contains(why), "{error}"),
        (Err(error), Meant::Exactly(_) | Meant::Infinite) => panic!("{error}"),
        (Ok(read), Meant::Nothing(why)) => panic!("{read:?}, and {why}"),
    }
}

/// `{:?}` of a duration is such a text; up to eleven days doubles hold each nanosecond.
fn same_when_printed(duration: Duration) {
    if duration < Duration::from_secs(1_000_000) {
        assert_eq!(parse_duration(&format!("{duration:?}")), Ok(duration));
    }
}

/// The watchdog's orders, such as `30s`, or `30s,break=10m`.
pub fn watchdog(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(2, ',');
    let (after, option) = (parse_duration(parts.next().unwrap_or_default()), parts.next());
    let limit = option.map(|option| {
        let (key, limit) = option.split_at(option.find('=').unwrap_or(option.len()));
        (key.trim() == "break" && !limit.is_empty()).then(|| parse_duration(&limit[1..]))
    });
    match parse_watchdog(&text) {
        Ok(orders) => {
            let after = after.expect("a bad duration in good orders");
            let limit = limit.map(|limit| limit.expect("another option").expect("a bad duration in good orders"));
            let never = after.is_zero() || after == Duration::MAX;
            let wanted = Watchdog { after, break_after: limit.filter(|limit| *limit != Duration::MAX) };
            assert_eq!(orders, (!never).then_some(wanted));
            if let Some(Watchdog { after, break_after }) =
                orders.filter(|orders| orders.after < Duration::from_secs(9999))
            {
                let printed = match break_after.filter(|limit| *limit < Duration::from_secs(9999)) {
                    Some(limit) => format!("{after:?},break={limit:?}"),
                    None => format!("{after:?},break=infinite"),
                };
                let again = parse_watchdog(&printed).expect("printed").expect("and not never");
                assert_eq!(again.after, after, "{printed}");
            }
        }
        Err(error) => {
            let sound = after.is_ok() && limit.is_none_or(|limit| limit.is_some_and(|limit| limit.is_ok()));
            assert!(!sound && !error.to_string().is_empty(), "{error}");
        }
    }
}
