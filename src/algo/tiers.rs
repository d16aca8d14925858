//! Tiers: the groups in which parties gather, from those that share a cache outwards, none too large.
//!
//! Used by the algorithms whose shape follows the machine. A tier is a list of groups; the first member of a group
//! leads it, and the leaders of a tier are the members of the next one.

use crate::topology::Sites;

/// The groups of one tier.
pub(crate) type Tier = Vec<Vec<usize>>;

/// Gathers all parties tier by tier, in groups of at most `fan` (at least 2) that follow the machine's levels; what is
/// left at the end, at most `fan` leaders that have nobody above them, is the top. With `rooted` the top is one leader.
///
/// Groups of one are left out of a tier: their member goes on as it is.
pub(crate) fn tiers(sites: &Sites, fan: usize, rooted: bool) -> (Vec<Tier>, Vec<usize>) {
    let fan = fan.max(2);
    let mut tiers = Vec::new();
    let mut leads = vec![true; sites.parties()];
    let last = sites.levels().len().saturating_sub(1);
    let mut top = Vec::new();
    for (level, groups) in sites.levels().iter().enumerate() {
        let mut groups: Vec<Vec<usize>> = groups.clone();
        for group in &mut groups {
            group.retain(|&rank| leads[rank]);
        }
        // On the last level the groups may stay as they are, for the leaders to exchange; unless it is the only one.
        let may_stay = level == last && !rooted && last > 0;
        while groups.iter().any(|group| group.len() > if may_stay { fan } else { 1 }) {
            let mut tier = Vec::new();
            for group in &mut groups {
                let pieces = pieces(group, fan);
                for piece in &pieces {
                    piece[1..].iter().for_each(|&rank| leads[rank] = false);
                }
                *group = pieces.iter().map(|piece| piece[0]).collect();
                tier.extend(pieces.into_iter().filter(|piece| piece.len() > 1));
            }
            tiers.push(tier);
        }
        top = groups.concat();
    }
    (tiers, top)
}

/// Cuts a group into pieces of at most `most`, as even as can be.
pub(crate) fn pieces(group: &[usize], most: usize) -> Vec<Vec<usize>> {
    let count = group.len().div_ceil(most.max(1)).max(1);
    let mut rest = group;
    let mut pieces = Vec::with_capacity(count);
    for left in (1..=count).rev() {
        let (piece, others) = rest.split_at(rest.len().div_ceil(left));
        if !piece.is_empty() {
            pieces.push(piece.to_vec());
        }
        rest = others;
    }
    pieces
}

/// How far apart ranks are: the number of the first level, from the inside out, of which they share a group.
#[derive(Debug)]
pub(crate) struct Separation {
    /// Level by level, the group of each rank.
    group_of: Vec<Vec<usize>>,
    /// The outermost level that has several groups.
    outermost: Option<usize>,
}

impl Separation {
    pub(crate) fn new(sites: &Sites) -> Self {
        let group_of = sites.levels().iter().map(|groups| {
            let mut group_of = vec![0; sites.parties()];
            for (number, group) in groups.iter().enumerate() {
                group.iter().for_each(|&rank| group_of[rank] = number);
            }
            group_of
        });
        let outermost = sites.levels().iter().rposition(|groups| groups.len() > 1);
        Self { group_of: group_of.collect(), outermost }
    }

    pub(crate) fn between(&self, one: usize, other: usize) -> usize {
        self.group_of.iter().position(|group_of| group_of[one] == group_of[other]).unwrap_or(self.group_of.len())
    }

    /// The group of `rank` on the outermost level that has several.
    pub(crate) fn outermost_group(&self, rank: usize) -> usize {
        self.outermost.map_or(0, |level| self.group_of[level][rank])
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
pub(crate) mod tests {
    use super::*;
    use crate::topology::{Bind, CpuSet, Topology};

    /// The sites of a machine of `packages` x `llcs` x `cores`, all in use, in order.
    pub(crate) fn machine(packages: usize, llcs: usize, cores: usize) -> Sites {
        let machine = Topology::regular(packages, 1, llcs, cores, 1).unwrap();
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        Sites::of(&machine.place(&Bind::Close, packages * llcs * cores, &mask).unwrap())
    }

    /// The sites of these CPUs of that machine.
    pub(crate) fn part_of(packages: usize, llcs: usize, cores: usize, cpus: &[usize]) -> Sites {
        let machine = Topology::regular(packages, 1, llcs, cores, 1).unwrap();
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        Sites::of(&machine.place(&Bind::List(cpus.to_vec()), cpus.len(), &mask).unwrap())
    }

    /// These numbers of parties; under Miri, to which they are minutes of plain arithmetic, the small ones.
    pub(crate) fn tested(counts: impl IntoIterator<Item = usize>) -> impl Iterator<Item = usize> {
        counts.into_iter().filter(|&parties| !cfg!(miri) || parties <= 5)
    }

    /// Machines of all shapes: one cache, chiplets, sockets, uneven groups, one party in a group, nothing known.
    pub(crate) fn shapes() -> Vec<(&'static str, Sites)> {
        let all = vec![
            ("1", Sites::anywhere(1)),
            ("2", Sites::anywhere(2)),
            ("3", Sites::anywhere(3)),
            ("17", Sites::anywhere(17)),
            ("130", Sites::anywhere(130)),
            ("1x1x8", machine(1, 1, 8)),
            ("2x8x8", machine(2, 8, 8)),
            ("4x1x16", machine(4, 1, 16)),
            ("1x12x8", machine(1, 12, 8)),
            ("1x1x56", machine(1, 1, 56)),
            ("3 uneven groups", part_of(1, 3, 8, &[0, 1, 2, 3, 4, 8, 9, 16])),
            ("1 party in each group", part_of(2, 4, 4, &[0, 4, 8, 12, 16, 20, 24, 28])),
            ("1 party in one package", part_of(2, 2, 4, &[0, 1, 2, 3, 4, 5, 6, 7, 8])),
            ("ranks in no order", part_of(2, 2, 4, &[9, 3, 14, 0, 7, 1, 12, 5, 8])),
        ];
        all.into_iter().filter(|(_, sites)| !cfg!(miri) || sites.parties() <= 9).collect()
    }

    #[test]
    fn every_rank_is_gathered_once_and_no_group_is_too_large() {
        let shapes = shapes();
        assert!(shapes.len() > 6);
        for (name, sites) in shapes {
            for fan in [2, 3, 4, 8, 16] {
                for rooted in [false, true] {
                    let (tiers, top) = tiers(&sites, fan, rooted);
                    let mut below = vec![false; sites.parties()];
                    for group in tiers.iter().flatten() {
                        assert!((2..=fan).contains(&group.len()), "{name}: {group:?}");
                        for &rank in &group[1..] {
                            assert!(!below[rank], "{name}: {rank} is gathered twice");
                            below[rank] = true;
                        }
                        assert!(!below[group[0]], "{name}: {} leads although it is below another", group[0]);
                    }
                    let left: Vec<usize> = (0..sites.parties()).filter(|&rank| !below[rank]).collect();
                    let mut sorted = top.clone();
                    sorted.sort_unstable();
                    assert_eq!(sorted, left, "{name}");
                    assert!(top.len() <= if rooted { 1 } else { fan }, "{name}: {top:?}");
                }
            }
        }
    }

    #[test]
    fn groups_follow_the_machine() {
        let (tiers, top) = tiers(&machine(2, 2, 4), 16, false);
        assert_eq!(tiers[0], [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]);
        assert_eq!(tiers[1], [[0, 4], [8, 12]]);
        assert_eq!((tiers.len(), top), (2, vec![0, 8]));
    }

    #[test]
    fn the_leaders_of_one_cache_gather_to_one_and_those_of_several_may_exchange() {
        for parties in [1, 2, 4, 16] {
            assert_eq!(tiers(&Sites::anywhere(parties), 4, false).1, [0], "{parties} parties");
        }
        let sites = part_of(1, 3, 2, &[0, 1, 2, 3, 4, 5]);
        assert_eq!(tiers(&sites, 4, false).1, [0, 2, 4]);
        assert_eq!(tiers(&sites, 4, true).1, [0]);
    }

    #[test]
    fn a_large_cache_is_cut_into_even_pieces() {
        let sizes: Vec<usize> = pieces(&(0..56).collect::<Vec<_>>(), 16).iter().map(Vec::len).collect();
        assert_eq!(sizes, [14, 14, 14, 14]);
        assert_eq!(pieces(&[1, 2, 3, 4, 5], 2), [vec![1, 2], vec![3, 4], vec![5]]);
    }

    #[test]
    fn separation_counts_levels() {
        let sites = machine(2, 2, 4);
        let apart = Separation::new(&sites);
        assert_eq!((apart.between(0, 3), apart.between(0, 4), apart.between(0, 8)), (0, 1, 2));
        assert_eq!((apart.outermost_group(7), apart.outermost_group(8)), (0, 1));
        assert_eq!(Separation::new(&Sites::anywhere(4)).outermost_group(3), 0);
    }
}
