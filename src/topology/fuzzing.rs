//! What the parsers of CPU lists, masks, bindings, control groups and roots promise (`crate::fuzzing`).

use super::cgroup::unescape;
use super::{
    Bind, Cpu, CpuListFault, CpuSet, MAX_CPU_IDS, ParseBindError, ParseCpuListError, PlaceError, Placement, Topology,
    allowed_from_root, quota_from_root,
};
use crate::fuzzing::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a slow reader finds wrong: the column, the piece, and why.
type Wrong = (usize, String, CpuListFault);

/// The pieces between commas, with the column in which each starts, counted letter by letter.
fn pieces(text: &str) -> Vec<(usize, String)> {
    let blank = |letter: char| letter.is_whitespace() || letter == '\0';
    let mut pieces = vec![(1, String::new())];
    for (letter, column) in text.chars().zip(1..) {
        let (start, piece) = pieces.last_mut().expect("there is always one");
        match letter {
            ',' => pieces.push((column + 1, String::new())),
            _ if piece.is_empty() && blank(letter) => *start = column + 1,
            _ => piece.push(letter),
        }
    }
    for (_, piece) in &mut pieces {
        while piece.ends_with(blank) {
            piece.pop();
        }
    }
    pieces
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| letter.is_whitespace() || letter == '\0')
}

/// One piece of a list.
fn slow_range(piece: &str) -> Result<(usize, usize), CpuListFault> {
    let number = |digits: &str| -> Result<usize, CpuListFault> {
        let digits: Vec<char> =
            digits.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0').chars().collect();
        if digits.is_empty() {
            return Err(CpuListFault::Missing);
        }
        let mut number = 0;
        if digits.iter().any(|digit| !digit.is_ascii_digit()) {
            return Err(CpuListFault::NotANumber);
        }
        for digit in digits {
            number = (number * 10 + digit.to_digit(10).expect("checked") as usize).min(MAX_CPU_IDS);
        }
        if number == MAX_CPU_IDS { Err(CpuListFault::TooLarge) } else { Ok(number) }
    };
    let (first, last) = match piece.find('-') {
        Some(dash) => (number(&piece[..dash])?, number(&piece[dash + 1..])?),
        None => (number(piece)?, number(piece)?),
    };
    if first > last { Err(CpuListFault::Reversed) } else { Ok((first, last)) }
}

/// A list whose order counts.
fn slow_list(text: &str) -> Result<Vec<usize>, Wrong> {
    let (mut seen, mut ids) = (vec![false; MAX_CPU_IDS], Vec::new());
    for (column, piece) in pieces(text) {
        let (first, last) = slow_range(&piece).map_err(|why| (column, piece.clone(), why))?;
        if seen[first..=last].contains(&true) {
            return Err((column, piece, CpuListFault::Duplicate));
        }
        seen[first..=last].fill(true);
        ids.extend(first..=last);
    }
    Ok(ids)
}

/// A list whose order does not count.
fn slow_set(text: &str) -> Result<Vec<usize>, Wrong> {
    let mut seen = vec![false; MAX_CPU_IDS];
    if !is_blank(text) {
        for (column, piece) in pieces(text) {
            let (first, last) = slow_range(&piece).map_err(|why| (column, piece, why))?;
            seen[first..=last].fill(true);
        }
    }
    Ok((0..MAX_CPU_IDS).filter(|&id| seen[id]).collect())
}

/// Words of 1 to 8 hexadecimal digits, the highest first.
fn slow_mask(text: &str) -> Result<Vec<usize>, Wrong> {
    let mut ids = BTreeSet::new();
    if is_blank(text) {
        return Ok(Vec::new());
    }
    let mut words = pieces(text);
    words.reverse();
    if let Some((column, word)) = words.get(MAX_CPU_IDS / 32) {
        return Err((*column, word.clone(), CpuListFault::TooLarge));
    }
    for (place, (column, word)) in words.into_iter().enumerate() {
        let why = if word.is_empty() { CpuListFault::Missing } else { CpuListFault::NotANumber };
        let digits: Option<Vec<u32>> = word.chars().map(|letter| letter.to_digit(16)).collect();
        let Some(digits) = digits.filter(|digits| (1..=8).contains(&digits.len())) else {
            return Err((column, word, why));
        };
        for (from_right, digit) in digits.into_iter().rev().enumerate() {
            let bits = (0..4).filter(|bit| digit & 1 << bit != 0);
            ids.extend(bits.map(|bit| 32 * place + 4 * from_right + bit));
        }
    }
    Ok(ids.into_iter().collect())
}

/// The error says what the slow reader says, and shows the beginning of the piece.
fn same_error(error: &ParseCpuListError, (column, piece, fault): Wrong) {
    let shown: String = piece.chars().take(32).collect();
    assert_eq!((error.column(), error.token(), error.fault()), (column, shown.as_str(), fault));
    let text = error.to_string();
    assert!(text.contains(&shown) && text.contains(&format!("column {column}")), "{text}");
}

fn same_set(read: Result<CpuSet, ParseCpuListError>, slow: Result<Vec<usize>, Wrong>) {
    match (read, slow) {
        (Ok(set), Ok(ids)) => {
            assert!(set.iter().eq(ids.iter().copied()), "{set:?}");
            assert_eq!(set.to_string().parse(), Ok(set.clone()), "what is printed is read as the same");
            assert_eq!((set.len(), set.is_empty()), (ids.len(), ids.is_empty()));
            assert!(ids.iter().all(|&id| id < MAX_CPU_IDS));
        }
        (Err(error), Err(wrong)) => same_error(&error, wrong),
        (read, slow) => panic!("{read:?}, and slowly {slow:?}"),
    }
}

/// Lists as `taskset -c` and `/sys` write them.
pub fn cpu_list(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    same_set(text.parse(), slow_set(&text));
}

/// Hexadecimal masks as old kernels write them.
pub fn cpu_mask(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let read = CpuSet::from_hex_mask(&text);
    if let Ok(set) = &read {
        let words = set.iter().next_back().map_or(0, |last| last / 32 + 1);
        let word = |word: usize| set.iter().filter(|id| id / 32 == word).fold(0_u32, |bits, id| bits | 1 << (id % 32));
        // The widest masks would be read over and over again.
        if words <= 64 {
            let mask: Vec<String> = (0..words).rev().map(|place| format!("{:08x}", word(place))).collect();
            assert_eq!(CpuSet::from_hex_mask(&mask.join(",")).as_ref(), Ok(set));
        }
    }
    same_set(read, slow_mask(&text));
}

/// `PHALANX_BIND`, and what a binding makes of a machine of 24 CPUs.
pub fn bind(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let word = text.trim();
    match text.parse::<Bind>() {
        Ok(Bind::List(ids)) => {
            assert_eq!(slow_list(&text).as_ref(), Ok(&ids));
            assert_eq!(Bind::List(ids.clone()).to_string().parse(), Ok(Bind::List(ids.clone())));
            placed(&Bind::List(ids));
        }
        Ok(bind) => {
            assert_eq!(bind.to_string(), word.to_ascii_lowercase());
            assert_eq!(bind.to_string().parse(), Ok(bind.clone()));
            placed(&bind);
        }
        Err(ParseBindError::Empty) => assert_eq!(word, ""),
        Err(ParseBindError::Word { value }) => {
            assert!(!word.starts_with(|letter: char| letter.is_ascii_digit()) && word.starts_with(&value), "{value:?}");
            let known = ["none", "close", "spread", "per-llc", "per-node"];
            assert!(!known.contains(&word.to_ascii_lowercase().as_str()), "{word:?}");
            assert!(value.chars().count() == 32 || value == word);
            assert!(ParseBindError::Word { value: value.clone() }.to_string().contains(&value));
        }
        Err(ParseBindError::List(error)) => {
            assert!(word.starts_with(|letter: char| letter.is_ascii_digit()));
            same_error(&error, slow_list(&text).expect_err("a list that the slow reader takes"));
            assert!(ParseBindError::List(error.clone()).to_string().contains(&error.to_string()));
        }
    }
}

fn placed(bind: &Bind) {
    let machine = Topology::regular(2, 1, 2, 3, 2).expect("24 CPUs");
    let mask: CpuSet = (0..30).filter(|cpu| cpu % 5 != 3).collect();
    let takes = |cpu: usize| mask.contains(cpu) && machine.cpu(cpu).is_some();
    match (machine.place(bind, 40, &mask), bind) {
        (Ok(plan), Bind::None) => assert!(plan.cpus().all(|cpu| cpu.is_none())),
        (Ok(plan), Bind::List(ids)) => assert!(plan.cpus().eq(ids.iter().cycle().take(40).map(|&cpu| Some(cpu)))),
        (Ok(plan), _) => evenly_used(&plan, &mask.intersection(&(0..24).collect())),
        (Err(PlaceError::NotAllowed { cpu, .. }), Bind::List(ids)) => {
            assert!(ids.iter().find(|cpu| !takes(**cpu)) == Some(&cpu) && !mask.contains(cpu));
        }
        (Err(PlaceError::Unknown { cpu }), Bind::List(ids)) => {
            assert!(ids.iter().find(|cpu| !takes(**cpu)) == Some(&cpu) && mask.contains(cpu));
        }
        (Err(error), _) => panic!("{bind}: {error}"),
    }
}

/// Only CPUs of the mask, none k + 1 times before all k times.
fn evenly_used(plan: &Placement, mask: &CpuSet) {
    let mut used: BTreeMap<usize, usize> = mask.iter().map(|cpu| (cpu, 0)).collect();
    for cpu in plan.cpus().flatten() {
        let least = used.values().min().copied();
        let times = used.get_mut(&cpu).unwrap_or_else(|| panic!("cpu {cpu} is not in {mask}"));
        assert_eq!(Some(*times), least, "cpu {cpu} again, and others not yet");
        *times += 1;
    }
    assert!(plan.is_complete());
}

/// A root: the machine that its `sys` describes, and where its ranks go.
pub fn root(data: &[u8]) {
    let tree = Tree::of(data);
    let read = |tree: &Tree| tree.mount(|root| (Topology::from_root(root), allowed_from_root(root)));
    let (machine, allowed) = read(&tree);
    let folders: BTreeSet<&str> = tree
        .files()
        .filter_map(|(path, _)| path.strip_prefix("sys/devices/system/cpu").ok()?.iter().next()?.to_str())
        .collect();
    let machine = match machine {
        Ok(machine) => machine,
        Err(error) => {
            assert!(error.to_string().contains("sys/devices/system/cpu"), "{error}");
            return;
        }
    };
    let ids: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
    assert!(!ids.is_empty() && machine.cpus().is_sorted_by(|a, b| a.id < b.id));
    for id in ids.iter() {
        let of_it = |name: &&str| name.strip_prefix("cpu").is_some_and(|digits| digits.parse() == Ok(id));
        assert!(id < MAX_CPU_IDS && folders.iter().any(of_it), "there is no cpu {id}");
    }
    numbered_without_gaps(&machine);
    assert_eq!(machine.to_string().rsplit(": ").next().map(str::parse), Some(Ok(ids.clone())));
    assert_eq!(read(&tree).0.ok(), Some(machine.clone()), "read twice");
    let mask = allowed.map(|set| set.intersection(&ids)).filter(|set| !set.is_empty()).unwrap_or(ids);
    for bind in [Bind::Close, Bind::Spread, Bind::PerLlc, Bind::PerNode] {
        evenly_used(&machine.place(&bind, mask.len() + 3, &mask).expect("there are CPUs"), &mask);
    }
}

fn numbered_without_gaps(machine: &Topology) {
    type Group = fn(&Cpu) -> usize;
    let groups: [(usize, Group); 4] = [
        (machine.packages(), |cpu| cpu.package),
        (machine.nodes(), |cpu| cpu.node),
        (machine.llcs(), |cpu| cpu.llc),
        (machine.cores(), |cpu| cpu.core),
    ];
    for (count, group) in groups {
        let mut next = 0;
        for cpu in machine.cpus() {
            assert!(group(cpu) <= next, "a number is left out before {cpu:?}");
            next = next.max(group(cpu) + 1);
        }
        assert_eq!(next, count);
    }
    let kinds: BTreeSet<usize> = machine.cpus().iter().map(|cpu| cpu.kind).collect();
    assert!(kinds.into_iter().eq(0..machine.kinds()));
    let mut threads = vec![0; machine.cores()];
    for cpu in machine.cpus() {
        assert_eq!(cpu.smt, threads[cpu.core], "{cpu:?}");
        threads[cpu.core] += 1;
    }
    for (a, b) in (0..=machine.nodes()).flat_map(|a| (0..=machine.nodes()).map(move |b| (a, b))) {
        let distance = machine.distance(a, b);
        assert_eq!(distance, machine.distance(b, a));
        assert!(distance.is_none_or(|distance| distance >= 10 && (a != b || distance == 10)));
        assert!(distance.is_none() || a.max(b) < machine.nodes());
    }
}

/// The files of control groups: masks and quotas, wherever they are mounted.
pub fn cgroup(data: &[u8]) {
    let tree = Tree::of(data);
    let read = |tree: &Tree| tree.mount(|root| (quota_from_root(root), allowed_from_root(root)));
    let (quota, allowed) = read(&tree);
    let text = |path: &Path, content: &[u8]| {
        let text = String::from_utf8_lossy(content);
        let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0').to_owned();
        (path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned(), text)
    };
    let files: Vec<(String, String)> = tree.files().map(|(path, content)| text(path, content)).collect();
    if let Some(quota) = quota {
        // What some file says, or a quota of one file over a period of another.
        let number =
            |text: &str| text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0').parse::<i64>().ok();
        let of =
            |name: &'static str| files.iter().filter(move |file| file.0 == name).filter_map(|file| number(&file.1));
        let split = of("cpu.cfs_quota_us").flat_map(|quota| of("cpu.cfs_period_us").map(move |period| (quota, period)));
        let whole = files.iter().filter(|file| file.0 == "cpu.max").filter_map(|(_, text)| {
            let mut fields = text
                .split(|letter: char| letter.is_ascii_whitespace() || letter == '\0')
                .filter(|field| !field.is_empty());
            Some((number(fields.next()?)?, number(fields.next()?)?))
        });
        let sound = |(quota, period): (i64, i64)| (quota > 0 && period > 0).then_some(quota as f64 / period as f64);
        assert!(quota.is_finite() && quota > 0.0, "{quota}");
        assert!(split.chain(whole).filter_map(sound).any(|told| told == quota), "{quota} is told by no file");
    }
    if let Some(set) = &allowed {
        assert!(!set.is_empty());
        let told = |(name, text): &(String, String)| match name.as_str() {
            "status" => {
                text.split('\n').filter_map(|line| line.strip_prefix("Cpus_allowed_list:")).any(|list| same(list, set))
            }
            "cpuset.cpus.effective" | "cpuset.effective_cpus" | "cpuset.cpus" | "cpus" => same(text, set),
            _ => false,
        };
        assert!(files.iter().any(told), "{set} is told by no file");
    }
    // What says the same twice says the same, and limits that are not there limit nothing.
    let tables = ["mountinfo", "mounts", "cgroup", "status"];
    assert_eq!(read(&tree.stuttering(&tables)), (quota, allowed.clone()));
    assert_eq!(read(&tree.without(&["cpu.max", "cpu.cfs_quota_us"])), (None, allowed));
    let text = String::from_utf8_lossy(data);
    assert_eq!(unescape(&text), slow_unescape(&text));
}

fn same(list: &str, set: &CpuSet) -> bool {
    slow_set(list).is_ok_and(|ids| set.iter().eq(ids))
}

/// `\ooo`, three octal digits that are an ASCII character, is that character.
fn slow_unescape(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < letters.len() {
        let octal = |offset: usize| letters.get(at + offset).and_then(|letter| letter.to_digit(8));
        let escaped = match (letters[at], octal(1), octal(2), octal(3)) {
            ('\\', Some(a), Some(b), Some(c)) => char::from_u32(a * 64 + b * 8 + c).filter(char::is_ascii),
            _ => None,
        };
        out.push(escaped.unwrap_or(letters[at]));
        at += if escaped.is_some() { 4 } else { 1 };
    }
    out
}
