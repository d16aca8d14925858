//! CPU lists and masks.

use std::collections::BTreeSet;

use phalanx::topology::{Bind, CpuListFault, CpuSet, MAX_CPU_IDS, ParseBindError};

use crate::support::Random;

#[test]
fn cpu_lists() {
    let good = [
        ("", ""),
        (" \n", ""),
        ("\0", ""),
        ("0", "0"),
        ("0-3,8\n", "0-3,8"),
        (" 3 , 1 - 2 ,\t0 \n\0", "0-3"),
        ("8,0-3,2-5", "0-5,8"),
        ("5-5", "5"),
        ("007", "7"),
        ("65535", "65535"),
    ];
    for (text, canonical) in good {
        let set: CpuSet = text.parse().unwrap();
        assert_eq!(set.to_string(), canonical, "{text:?}");
        assert_eq!(canonical.parse::<CpuSet>().unwrap(), set);
    }
    let bad = [
        ("0,,3", "", 3, CpuListFault::Missing),
        ("0-3,", "", 5, CpuListFault::Missing),
        (",", "", 1, CpuListFault::Missing),
        ("1, 4-", "4-", 4, CpuListFault::Missing),
        ("-1", "-1", 1, CpuListFault::Missing),
        ("0-3,x8", "x8", 5, CpuListFault::NotANumber),
        ("é,+1", "é", 1, CpuListFault::NotANumber),
        ("1 2", "1 2", 1, CpuListFault::NotANumber),
        ("0-7:2/4", "0-7:2/4", 1, CpuListFault::NotANumber),
        ("0-1-2", "0-1-2", 1, CpuListFault::NotANumber),
        ("0,65536", "65536", 3, CpuListFault::TooLarge),
        ("0-99999999999", "0-99999999999", 1, CpuListFault::TooLarge),
        ("0-18446744073709551616", "0-18446744073709551616", 1, CpuListFault::TooLarge),
        ("4,3-0", "3-0", 3, CpuListFault::Reversed),
    ];
    for (text, token, column, fault) in bad {
        let error = text.parse::<CpuSet>().unwrap_err();
        assert_eq!((error.token(), error.column(), error.fault()), (token, column, fault), "{text:?}");
    }
    let message = |text: &str| text.parse::<CpuSet>().unwrap_err().to_string();
    assert_eq!(message("1,70000"), "`70000` at column 3 is beyond the largest CPU number, 65535");
    assert_eq!(message("1,,2"), "a CPU number is missing at column 3");
    assert_eq!(message(&"x".repeat(1000)).len(), 32 + "`` at column 1 is not a CPU number".len());
}

#[test]
fn a_long_line_of_overlaps_is_no_bomb() {
    let text = vec!["0-65535"; if cfg!(miri) { 3 } else { 100_000 }].join(",");
    assert_eq!(text.parse::<CpuSet>().unwrap().len(), MAX_CPU_IDS);
    assert!(matches!(text.parse::<Bind>(), Err(ParseBindError::List(_))));
}

#[test]
fn hex_masks() {
    let good = [
        ("", ""),
        ("0", ""),
        ("00003", "0-1"),
        ("00000000,00001111\n", "0,4,8,12"),
        ("80000000,00000000,00000001", "0,95"),
        ("F0\0", "4-7"),
    ];
    for (text, list) in good {
        assert_eq!(CpuSet::from_hex_mask(text).unwrap().to_string(), list, "{text:?}");
    }
    let bad = [
        ("00000000,", "", 10, CpuListFault::Missing),
        ("1,+1", "+1", 3, CpuListFault::NotANumber),
        ("0x1", "0x1", 1, CpuListFault::NotANumber),
        ("123456789", "123456789", 1, CpuListFault::NotANumber),
        // Found by the fuzz target cpu_mask: one zero too many.
        ("0,0000000ff", "0000000ff", 3, CpuListFault::NotANumber),
    ];
    for (text, token, column, fault) in bad {
        let error = CpuSet::from_hex_mask(text).unwrap_err();
        assert_eq!((error.token(), error.column(), error.fault()), (token, column, fault), "{text:?}");
    }
    let longest = vec!["00000001"; MAX_CPU_IDS / 32].join(",");
    assert_eq!(CpuSet::from_hex_mask(&longest).unwrap().len(), MAX_CPU_IDS / 32);
    let error = CpuSet::from_hex_mask(&format!("{longest},1")).unwrap_err();
    assert_eq!(error.fault(), CpuListFault::TooLarge);
}

#[test]
fn random_sets_survive_being_printed() {
    let mut random = Random(2);
    for _ in 0..if cfg!(miri) { 5 } else { 200 } {
        let (count, range) = (random.below(40), 1 + random.below(200));
        let ids: BTreeSet<usize> = (0..count).map(|_| random.below(range)).collect();
        let set: CpuSet = ids.iter().rev().copied().collect();
        assert_eq!(set.to_string().parse::<CpuSet>().unwrap(), set);
        assert_eq!(set.iter().collect::<Vec<_>>(), ids.iter().copied().collect::<Vec<_>>());
        let mut words = [0_u32; 7];
        set.iter().for_each(|id| words[id / 32] |= 1 << (id % 32));
        let mask: Vec<String> = words.iter().rev().map(|word| format!("{word:08x}")).collect();
        assert_eq!(CpuSet::from_hex_mask(&mask.join(",")).unwrap(), set);
        let other: CpuSet = (0..count).map(|_| random.below(range)).collect();
        let both = set.intersection(&other);
        assert!((0..range).all(|id| both.contains(id) == (set.contains(id) && other.contains(id))));
    }
}
