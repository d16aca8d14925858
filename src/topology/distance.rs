//! Distances between NUMA nodes, as firmware tells them (ACPI's SLIT, or a device tree).
//!
//! Source: the kernel's `Documentation/ABI/stable/sysfs-devices-node` (`distance`), and `slit_valid` in its
//! `arch/x86/mm/srat.c` and `drivers/acpi/numa/srat.c` for what firmware may say: 10 to oneself, never less to others.

use std::collections::BTreeMap;
use std::path::Path;

use super::sysfs::{number_list, numbered};

/// The distance to oneself, in every table.
const LOCAL: u32 = 10;

/// The rows that can be believed, by the kernel's node number.
#[derive(Default)]
pub(super) struct Distances {
    /// Where a node stands in every row: the kernel writes a column for each online node, with CPUs or without.
    columns: BTreeMap<usize, usize>,
    rows: BTreeMap<usize, Vec<u32>>,
}

impl Distances {
    pub(super) fn read(root: &Path) -> Self {
        let dir = root.join("sys/devices/system/node");
        let columns: BTreeMap<usize, usize> =
            numbered(&dir, "node").unwrap_or_default().into_iter().enumerate().map(|(at, node)| (node, at)).collect();
        let row = |(&node, &at): (&usize, &usize)| {
            let row: Vec<u32> = number_list(&dir.join(format!("node{node}/distance")))?;
            let sound = row.len() == columns.len() && row[at] == LOCAL && row.iter().all(|&distance| distance >= LOCAL);
            sound.then_some((node, row))
        };
        let rows = columns.iter().filter_map(row).collect();
        Self { columns, rows }
    }

    /// Whether there is a row of this node.
    pub(super) fn tell_of(&self, node: usize) -> bool {
        self.rows.contains_key(&node)
    }

    /// The distance between two nodes, if both rows say the same.
    pub(super) fn between(&self, a: usize, b: usize) -> Option<u32> {
        let one_way = |a, b| Some(*self.rows.get(&a)?.get(*self.columns.get(&b)?)?);
        one_way(a, b).filter(|&there| one_way(b, a) == Some(there))
    }
}
