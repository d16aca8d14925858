use super::shapes::*;
use super::*;

#[test]
fn table() {
    let k = |llc: f64, package: f64, machine: f64| Classes { smt: llc, llc, package, machine };
    let rows: Vec<(&str, Vec<Cpu>, Classes, usize, usize)> = vec![
        ("2 CCX", machine(1, 1, 2, 1), k(25., 25., 25.), 2, 2),
        ("8 CCX", machine(1, 1, 8, 1), k(25., 25., 25.), 8, 8),
        ("16 7950X", machine(1, 2, 8, 1), k(16., 73., 73.), 8, 16),
        ("32 8358 1s", machine(1, 1, 32, 1), k(51., 51., 51.), 32, 32),
        ("64 Graviton3", machine(1, 1, 64, 1), k(46., 46., 46.), 64, 64),
        ("64 7763 1s", machine(1, 8, 8, 1), k(25., 124., 304.), 8, 64),
        ("64 2x8358", machine(2, 1, 32, 1), k(51., 51., 111.), 32, 32),
        ("96 9654 1s", machine(1, 12, 8, 1), k(27., 99., 192.), 8, 96),
        ("128 2x7763", machine(2, 8, 8, 1), k(25., 124., 304.), 8, 64),
        ("192 2x9654", machine(2, 12, 8, 1), k(27., 99., 192.), 8, 96),
        ("128 2x7742", machine(2, 16, 4, 1), k(25., 132., 267.), 4, 64),
        ("64 Kunpeng", machine(2, 8, 4, 1), k(34., 36., 81.), 4, 32),
    ];
    let mut scratch = Scratch::default();
    for (name, cpus, classes, ccx, socket) in rows {
        let n = cpus.len();
        let hops = Hops::from_cpus(&cpus, &classes);
        let graphs = [
            central(n, false),
            central(n, true),
            flat(n),
            mcs(n),
            tree_and_flag(n),
            hyper(n),
            dissemination(n, 1),
            dissemination(n, 3),
            hierarchical(n, ccx, socket / ccx),
            leaders_disseminate(n, ccx, 3),
        ];
        print!("{name:13}");
        for g in &graphs {
            let mut run = Run::new(g, &hops, &TABLE, &mut scratch).unwrap();
            let t = run.together();
            let s = run.straggler(n - 1, t);
            print!(" {t:.0}/{s:.0}");
        }
        println!();
    }
}
