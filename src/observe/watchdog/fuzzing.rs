//! What the readers of `/proc/self/task/TID` promise (`crate::fuzzing`).

use super::thread_state::{Look, classify, parse_schedstat, parse_stack, parse_stat, parse_syscall};

/// `stat`, `schedstat`, `syscall` and `stack` of a thread, one behind the other with a zero byte between them.
pub fn thread_state(data: &[u8]) {
    let parts: Vec<&[u8]> = data.splitn(4, |&byte| byte == 0).collect();
    let part = |place: usize| parts.get(place).copied().unwrap_or_default();
    let text = |place: usize| String::from_utf8_lossy(part(place));
    stat(part(0));
    any_name_will_do(part(0), part(3));
    schedstat(&text(1));
    if let Some(call) = parse_syscall(&text(2)) {
        let number = text(2).split_ascii_whitespace().next().map(str::parse::<u32>);
        let unknown = call.strip_prefix("system call ").map(str::parse::<u32>);
        assert!(matches!(number, Some(Ok(_))) && unknown.is_none_or(|told| Some(told) == number), "{call}");
    }
    let stack = parse_stack(&text(3));
    assert!(stack.len() <= text(3).lines().count());
    assert!(stack.iter().all(|function| !function.contains('+') && text(3).contains(function)), "{stack:?}");
    // Any two looks come to something, whichever came first, and the same look twice is nobody running.
    let look = |stat: &[u8], spent: &str| Look::of(parse_stat(stat)?, parse_schedstat(spent));
    let looks = [look(part(0), &text(1)), look(part(3), &text(2))];
    for (before, after) in looks.iter().flat_map(|one| looks.iter().map(move |other| (one, other))) {
        let state = classify(before.as_ref(), after.as_ref(), None).to_string();
        assert!(!state.is_empty() && (before.is_some() && after.is_some() || state == "gone"), "{state}");
        assert!(!std::ptr::eq(before, after) || state != "running", "it has not run since itself");
    }
}

/// Field by field, from behind: the last parenthesis ends the name.
fn stat(line: &[u8]) {
    let slow = || {
        let mut end = line.len();
        while end > 0 && line[end - 1] != b')' {
            end -= 1;
        }
        let behind = if end == 0 { return None } else { std::str::from_utf8(&line[end..]).ok()? };
        // The first of them is field 3.
        let mut fields = vec!["", "", ""];
        fields.extend(behind.split(|letter: char| letter.is_ascii_whitespace()).filter(|field| !field.is_empty()));
        let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
        let state = fields.get(3)?.as_bytes();
        Some((*state.first().filter(|_| state.len() == 1)?, number(14)?, number(15)?, number(22)?, number(39)?))
    };
    match (parse_stat(line), slow()) {
        (Some(stat), Some((state, user, system, start, cpu))) => {
            assert_eq!(stat.parts(), (state, user.wrapping_add(system), start, cpu as usize));
        }
        (None, None) => {}
        (read, slow) => panic!("{read:?}, and slowly {slow:?}"),
    }
}

/// A thread may call itself anything.
fn any_name_will_do(name: &[u8], seed: &[u8]) {
    let number = seed.iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let (ticks, start, cpu) = (number % 1000, number, number % 4096);
    let fields = format!(
        ") S 1 2 3 4 5 6 7 8 9 10 {ticks} 5 16 17 18 19 20 21 {start} 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 {cpu} 40 41\n"
    );
    let line = [b"23736 (", name, fields.as_bytes()].concat();
    let stat = parse_stat(&line).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&line)));
    assert_eq!(stat.parts(), (b'S', ticks + 5, start, cpu as usize));
}

fn schedstat(line: &str) {
    let numbers: Vec<Option<u64>> = line.split_ascii_whitespace().map(|field| field.parse().ok()).collect();
    let slow = match numbers.as_slice() {
        [Some(ran), Some(wanted), ..] => Some((*ran, *wanted)),
        _ => None,
    };
    assert_eq!(parse_schedstat(line), slow);
}
