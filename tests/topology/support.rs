//! Snapshots, roots made by hand, and what holds of every topology.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use phalanx::topology::{Cpu, CpuSet, Topology, allowed_from_root, quota_from_root};

pub(crate) struct Root(pub(crate) PathBuf);

impl Root {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("phalanx-topology-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let root = Self::new();
        for (path, text) in files {
            root.put(path, text.as_bytes());
        }
        root
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path);
        // Most files have a neighbour that came before, and the big snapshots have thousands.
        if fs::write(&path, bytes).is_err() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        }
    }

    pub(crate) fn topology(&self) -> Topology {
        Topology::from_root(&self.0).unwrap()
    }

    pub(crate) fn allowed(&self) -> Option<CpuSet> {
        allowed_from_root(&self.0)
    }

    pub(crate) fn quota(&self) -> Option<f64> {
        quota_from_root(&self.0)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) const SNAPSHOTS: [&str; 9] = [
    "8em64t-2s4c-heterogeneous",
    "16amd64-8n2c-cpusets",
    "16em64t-4s2c2t",
    "16em64t-4s2c2t-offlines",
    "20em64t-hybrid-1p6c2t+2ca4co1t",
    "32amd64-4s2n4c-cgroup2",
    "64amd64-4s2n4ca2co",
    "128arm-2pa2n8cluster4co",
    "nvidiagpunumanodes",
];

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/topology").join(name)
}

/// The files of a snapshot: path and content.
pub(crate) fn listing(name: &str) -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(data(&format!("{name}.listing"))).unwrap();
    let mut folder = "";
    let mut files = Vec::new();
    for line in text.lines() {
        match line.strip_prefix('\t').and_then(|entry| entry.split_once('\t')) {
            Some((file, content)) => files.push((format!("{folder}{file}"), unescape(content))),
            None => folder = line,
        }
    }
    files
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match (byte, byte == b'\\') {
            (_, true) => match rest.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(b'\\') => b'\\',
                other => panic!("unknown escape {other:?} in {text:?}"),
            },
            (byte, false) => byte,
        });
    }
    bytes
}

pub(crate) fn snapshot(name: &str) -> Root {
    let root = Root::new();
    for (path, content) in listing(name) {
        root.put(&path, &content);
    }
    root
}

/// The machine of a snapshot, read once however many tests want it.
pub(crate) fn machine_of(name: &'static str) -> Topology {
    static READ: Mutex<BTreeMap<&str, Topology>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap();
    read.entry(name).or_insert_with(|| snapshot(name).topology()).clone()
}

pub(crate) type Groups = BTreeSet<BTreeSet<usize>>;

pub(crate) fn groups(machine: &Topology, of: impl Fn(&Cpu) -> usize) -> Groups {
    let mut groups: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for cpu in machine.cpus() {
        groups.entry(of(cpu)).or_default().insert(cpu.id);
    }
    groups.into_values().collect()
}

/// What holds of every topology, whatever it was read from.
pub(crate) fn check_numbering(machine: &Topology) {
    let ids: Vec<usize> = machine.cpus().iter().map(|cpu| cpu.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "not sorted: {ids:?}");
    type Level = fn(&Cpu) -> usize;
    let kinds: BTreeSet<usize> = machine.cpus().iter().map(|cpu| cpu.kind).collect();
    assert!(kinds.into_iter().eq(0..machine.kinds()));
    let levels: [(usize, Level); 4] = [
        (machine.packages(), |cpu| cpu.package),
        (machine.nodes(), |cpu| cpu.node),
        (machine.llcs(), |cpu| cpu.llc),
        (machine.cores(), |cpu| cpu.core),
    ];
    for (count, of) in levels {
        let mut next = 0;
        for cpu in machine.cpus() {
            assert!(of(cpu) <= next, "a number is left out before {cpu:?}");
            next = next.max(of(cpu) + 1);
        }
        assert_eq!(next, count);
    }
    let mut threads = vec![0; machine.cores()];
    for cpu in machine.cpus() {
        assert_eq!(cpu.smt, threads[cpu.core], "{cpu:?}");
        threads[cpu.core] += 1;
        assert_eq!(machine.cpu(cpu.id), Some(cpu));
    }
    for a in 0..=machine.nodes() {
        for b in 0..=machine.nodes() {
            let distance = machine.distance(a, b);
            assert_eq!(distance, machine.distance(b, a));
            assert!(distance.is_none_or(|distance| if a == b { distance == 10 } else { distance >= 10 }));
            assert!(distance.is_none() || a.max(b) < machine.nodes());
        }
    }
}

/// Numbers that are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Set only in the processes that a test starts.
pub(crate) const CHILD: &str = "PHALANX_TEST_CHILD";

pub(crate) fn child(test: &str) -> std::process::Command {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, "1");
    command
}
