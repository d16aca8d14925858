//! The example `life`: its parser, its kernel against a naive one, its lockstep loop with every barrier, and its face
//! (texts and exit codes).
#![cfg_attr(miri, allow(dead_code, unused_imports))] // Miri runs a part

// The modules of the example itself. What only its `main` uses is dead code here.
#[path = "../examples/life/fault.rs"]
mod fault;
#[path = "../examples/life/grid.rs"]
mod grid;
#[path = "../examples/life/kernel.rs"]
mod kernel;
#[path = "../examples/common/kind.rs"]
mod kind;
#[path = "../examples/life/known.rs"]
mod known;
#[allow(dead_code)]
#[path = "../examples/life/picture.rs"]
mod picture;
#[path = "../examples/life/rle.rs"]
mod rle;
#[allow(dead_code)]
#[path = "../examples/life/run.rs"]
mod run;

use fault::{ParseError, Problem};
use grid::Size;
use kind::Kind;
use phalanx::team::lockstep::{Failure, LockstepError, Meeting};
use phalanx::team::rendezvous::{Scene, Script};
use phalanx::topology::Placement;
use rle::{Pattern, Run};
use run::{Outcome, Plan, RunError};
#[cfg(not(miri))]
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const KINDS: [Kind; 3] = Kind::ALL;

/// xorshift64: the same inputs on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn run(pattern: &Pattern, size: Size, ticks: u64, parties: usize, kind: Kind) -> Outcome {
    let plan = Plan { pattern, size, ticks, placement: Placement::anywhere(parties) };
    run::run(&plan, kind.into(), None).unwrap_or_else(|error| panic!("{size}, {parties} parties, {kind:?}: {error}"))
}

// The parser.

#[test]
fn the_four_files_are_read() {
    let expected =
        [("acorn", 7, 3, 7), ("r-pentomino", 3, 3, 5), ("diehard", 8, 3, 7), ("gosper-glider-gun", 36, 9, 36)];
    for (known, (name, width, height, population)) in known::KNOWN.into_iter().zip(expected) {
        let pattern = known.pattern();
        assert_eq!(known.name, name);
        assert_eq!((pattern.width, pattern.height, pattern.population()), (width, height, population), "{name}");
        assert_eq!(known::Known::about(&pattern), Some(known));
    }
    let acorn = known::KNOWN[0].pattern();
    assert_eq!(acorn.name.as_deref(), Some("Acorn"));
    let run = |row, column, length| Run { row, column, length };
    assert_eq!(acorn.runs, [run(0, 1, 1), run(1, 3, 1), run(2, 0, 2), run(2, 4, 3)]);
}

#[test]
fn what_does_not_change_the_picture_is_allowed() {
    let plain = rle::parse(b"x = 3, y = 3, rule = B3/S23\nbob$2bo$3o!").expect("a glider");
    for text in [
        &b"\xef\xbb\xbfx = 3, y = 3, rule = B3/S23\r\nbob$2bo$3o!\r\n"[..],
        b"x = 3, y = 3\rbob$2bo$3o!",
        b"x = 3, y = 3, rule = B3/S23\rbob$2bo$3o!",
        b"#C one\n\n#C two\nx=3,y=3\nbo$2bo$3o!",
        b"x = 3 , y = 3 , rule = b3/s23  \nbo$ 2\n b o\n$oo\no$!",
        b"x = 3, y = 3, rule = 23/3\nbo$\n#C between\n2bo$3o!\nand text !$ behind it \xff",
    ] {
        let pattern = rle::parse(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)));
        assert!(pattern.same_picture(&plain), "{}", String::from_utf8_lossy(text));
    }
    let empty = rle::parse(b"x = 0, y = 0\n!").expect("an empty pattern");
    assert_eq!(empty.population(), 0);
    // A huge box costs nothing until somebody asks for a grid of it.
    let huge = rle::parse(b"x = 4294967295, y = 1\n4294967295o!").expect("one run");
    assert_eq!(huge.population(), 4_294_967_295);
    assert_eq!(rle::parse(b"#N a\x1b[31mb\nx = 0, y = 0\n!").expect("a name").name.as_deref(), Some("a[31mb"));
}

#[test]
fn each_fault_is_found_at_its_line_and_column() {
    let outside = |row, end| Problem::Outside { row, end, width: 3, height: 3 };
    let header = |expected, found: Option<u8>| Problem::Header { expected, found };
    let cases: [(&[u8], usize, usize, Problem); 20] = [
        (b"", 1, 1, header("x", None)),
        (b"#C only a comment", 1, 18, header("x", None)),
        (b"bob$2bo$3o!", 1, 1, header("x", Some(b'b'))),
        (b"#N g\nx : 3", 2, 3, header("=", Some(b':'))),
        (b"x = three", 1, 5, header("a number", Some(b't'))),
        (b"x = 3 y = 3\n!", 1, 7, header("a comma", Some(b'y'))),
        (b"x = 3, y = 3; rule = B3/S23\n!", 1, 13, header("a comma or the end of the line", Some(b';'))),
        (b"x = 3, y = 3, rul = B3/S23\n!", 1, 18, header("rule", Some(b' '))),
        (b"x = 3, y = 4294967296\n!", 1, 12, Problem::TooLarge),
        (b"x = 3, y = 3, rule = B36/S23\n!", 1, 22, Problem::Rule("B36/S23".into())),
        (b"x = 3, y = 3, rule = B3/S23:T9,9\n!", 1, 22, Problem::Rule("B3/S23:T9,9".into())),
        (b"x = 3, y = 3, rule =\r23/3\n!", 1, 21, Problem::Rule(String::new())),
        (b"x = 3, y = 3\nbo$2bq$3o!", 2, 6, Problem::Unexpected(b'q')),
        (b"x = 3, y = 3\n\xff", 2, 1, Problem::Unexpected(0xff)),
        (b"x = 3, y = 3\nbo$\n4o!", 3, 1, outside(1, 4)),
        (b"x = 3, y = 3\nbo$2bo$3o$o!", 2, 11, outside(3, 1)),
        (b"x = 3, y = 3\r\nbo$0o!", 2, 4, Problem::ZeroCount),
        (b"x = 3, y = 3\nbo$99999999999999999999o!", 2, 4, Problem::TooLarge),
        (b"x = 3, y = 3\nbo$2!", 2, 4, Problem::CountWithoutTag),
        (b"x = 3, y = 3\nbo$2bo$3o\n", 3, 1, Problem::NoEnd),
    ];
    for (text, line, column, problem) in cases {
        let error = rle::parse(text).expect_err("a fault");
        assert_eq!(error, ParseError { line, column, problem }, "{}", String::from_utf8_lossy(text));
    }
    let error = rle::parse(b"x = 3, y = 3\n$4294967295$").expect_err("too many rows");
    assert_eq!((error.line, error.column, error.problem), (2, 2, Problem::TooLarge));
}

// Reads files, which Miri is kept from; safe code of one thread.
#[cfg(not(miri))]
#[test]
fn no_bytes_make_the_parser_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut patterns = 0;
    for round in 0..100_000 {
        let mut bytes = std::fs::read_to_string(data(known::KNOWN[round % 4].name)).expect("a data file").into_bytes();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.next() as u8,
                // Bytes that mean something do more harm.
                1 => bytes[at] = b"bo$!0129#,=xy\r\n "[random.below(16)],
                2 => bytes.insert(at, b'0' + random.below(10) as u8),
                _ => bytes.truncate(at.max(1)),
            }
        }
        match rle::parse(&bytes) {
            Ok(pattern) => {
                patterns += 1;
                let inside = |run: &Run| run.row < pattern.height && run.column + run.length <= pattern.width;
                assert!(pattern.runs.iter().all(inside), "{bytes:?}");
            }
            Err(error) => {
                let line = bytes.split(|&byte| byte == b'\n').nth(error.line - 1).expect("a line of the file");
                assert!((1..=line.len() + 1).contains(&error.column), "{error} in {bytes:?}");
            }
        }
    }
    assert!((1_000..99_000).contains(&patterns), "mutants should be neither all good nor all bad: {patterns} good");
}

// The kernel and the loop.

/// One tick, cell by cell.
fn naive_tick(cells: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let alive = |x: usize, y: usize| cells.get(y).and_then(|row| row.get(x)).copied().unwrap_or(false);
    let tick = |x: usize, y: usize| {
        // wrapping_sub: left of column 0 is a column that does not exist, and so dead.
        let around = [x.wrapping_sub(1), x, x + 1].map(|x| [y.wrapping_sub(1), y, y + 1].map(|y| alive(x, y)));
        let neighbours = around.iter().flatten().filter(|&&cell| cell).count() - usize::from(alive(x, y));
        neighbours == 3 || (neighbours == 2 && alive(x, y))
    };
    (0..cells.len()).map(|y| (0..cells[y].len()).map(|x| tick(x, y)).collect()).collect()
}

/// The grid as the example packs it.
fn packed(cells: &[Vec<bool>]) -> Vec<u64> {
    let word = |cells: &[bool]| cells.iter().enumerate().fold(0, |word, (bit, &cell)| word | u64::from(cell) << bit);
    cells.iter().flat_map(|row| row.chunks(64).map(word)).collect()
}

/// The grid as a file, which takes the parser along.
fn as_rle(cells: &[Vec<bool>]) -> Vec<u8> {
    let mut text = format!("x = {}, y = {}\n", cells[0].len(), cells.len());
    for row in cells {
        text.extend(row.iter().map(|&cell| if cell { 'o' } else { 'b' }));
        text.push_str("$\n");
    }
    text.push('!');
    text.into_bytes()
}

fn on_border(cells: &[Vec<bool>]) -> bool {
    let (first, last) = (&cells[0], &cells[cells.len() - 1]);
    first.iter().chain(last).any(|&cell| cell) || cells.iter().any(|row| row[0] || row[row.len() - 1])
}

#[test]
fn random_soups_agree_with_the_naive_reference() {
    let mut random = Random(42);
    for (width, height) in
        [(1, 1), (1, 9), (9, 1), (130, 1), (63, 5), (64, 4), (65, 7), (127, 3), (128, 12), (200, 31), (321, 17)]
    {
        if cfg!(miri) && width * height > 65 {
            continue;
        }
        let size = Size { width, height };
        for density in if cfg!(miri) { &[3][..] } else { &[2, 3, 12] } {
            let mut cells: Vec<Vec<bool>> =
                (0..height).map(|_| (0..width).map(|_| random.below(*density) == 0).collect()).collect();
            let pattern = rle::parse(&as_rle(&cells)).expect("well formed");
            let mut reached = None;
            for tick in 0..=if cfg!(miri) { 2 } else { 20 } {
                if on_border(&cells) {
                    reached = reached.or(Some(tick));
                }
                if [0, 1, 2, 3, 10, 19, 20].contains(&tick) {
                    for &parties in if cfg!(miri) { &[2][..] } else { &[1, 2, 3, 8] } {
                        let outcome = run(&pattern, size, tick, parties, KINDS[random.below(3)]);
                        let place = format!("{size}, tick {tick}, {parties} parties");
                        assert_eq!(outcome.picture, packed(&cells), "{place}");
                        assert_eq!(outcome.reached_border, reached, "{place}");
                        let population = cells.iter().flatten().filter(|&&cell| cell).count() as u64;
                        assert_eq!(outcome.population, population, "{place}");
                        assert_eq!(outcome.parties.iter().map(|party| party.rows).sum::<usize>(), height, "{place}");
                        assert!(outcome.parties.iter().all(|party| party.waited <= outcome.elapsed), "{place}");
                    }
                }
                cells = naive_tick(&cells);
            }
        }
    }
}

#[test]
fn a_glider_crosses_words_and_bands_in_a_wide_empty_grid() {
    // Most rows and words are skipped here: a wrong span would lose the glider or leave a trail.
    let (size, moved) = match cfg!(miri) {
        true => (Size { width: 80, height: 20 }, 2),
        false => (Size { width: 300, height: 290 }, 140),
    };
    let pattern = rle::parse(b"x = 3, y = 3\nbo$2bo$3o!").expect("a glider");
    let mut cells = vec![vec![false; size.width]; size.height];
    let (left, top) = size.centre(&pattern).expect("it fits");
    for (x, y) in [(1, 0), (2, 1), (0, 2), (1, 2), (2, 2)] {
        // A cell down and to the right in 4 ticks.
        cells[top + y + moved][left + x + moved] = true;
    }
    for parties in [1, 2, 7] {
        let outcome = run(&pattern, size, 4 * moved as u64, parties, Kind::Phalanx);
        assert_eq!(outcome.picture, packed(&cells), "{parties} parties");
        assert_eq!(outcome.reached_border, None);
    }
}

// Thousands of ticks of millions of cells.
#[cfg(not(miri))]
#[test]
fn the_known_answers_come_out_with_any_barrier_and_any_number_of_threads() {
    let size = Size { width: 2560, height: 2560 };
    for known in known::KNOWN {
        let pattern = known.pattern();
        for kind in KINDS {
            // The whole matrix in a release build: a debug one takes a second for each run of Acorn.
            let all = kind == Kind::Phalanx || !cfg!(debug_assertions);
            for &parties in if all { &[1, 2, 3, 5, 16][..] } else { &[3] } {
                let outcome = run(&pattern, size, known.tick, parties, kind);
                assert_eq!(outcome.population, known.population, "{} {kind:?} {parties}", known.name);
                assert_eq!(outcome.reached_border, None, "{}", known.name);
            }
        }
    }
}

#[test]
fn rows_are_shared_out_without_gap_or_overlap() {
    for height in 1..if cfg!(miri) { 6 } else { 40 } {
        let size = Size { width: 1, height };
        for parties in 1..if cfg!(miri) { 8 } else { 50 } {
            let bands: Vec<_> = (0..parties).map(|rank| size.rows_of(rank, parties)).collect();
            assert_eq!((bands[0].start, bands[parties - 1].end), (0, height));
            assert!(bands.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() >= pair[1].len()));
            assert!(bands[0].len() <= bands[parties - 1].len() + 1);
        }
    }
}

#[test]
fn a_panic_in_one_worker_ends_the_run_for_all() {
    let pattern = known::KNOWN[0].pattern();
    let side = if cfg!(miri) { 16 } else { 256 };
    let size = Size { width: side, height: side };
    let plan = Plan { pattern: &pattern, size, ticks: u64::MAX, placement: Placement::anywhere(3) };
    let script = Script::new().at(50, 1, Scene::Panic("boom".into()));
    match run::run(&plan, Meeting::Scripted(script), None) {
        Err(RunError::Engine(LockstepError::Tick { tick: 50, failure, .. })) => {
            assert_eq!(failure, Failure::Panicked { rank: 1, message: "boom".into() });
        }
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("2^64 ticks cannot be over"),
    }
}

#[test]
fn the_watcher_is_called_while_the_run_goes_on() {
    const TICKS: u64 = if cfg!(miri) { 60 } else { 3_000 };
    let pattern = rle::parse(b"x = 1, y = 3\no$o$o!").expect("a blinker");
    let plan = Plan {
        pattern: &pattern,
        size: Size { width: 64, height: 64 },
        ticks: TICKS,
        placement: Placement::anywhere(2),
    };
    // A slow party, so that the run outlasts a few looks whatever the machine.
    let late = Scene::Late(std::time::Duration::from_micros(150));
    let script = (0..TICKS).fold(Script::new(), |script, trip| script.at(trip, 0, late.clone()));
    let mut seen = Vec::new();
    let mut watch = |tick| seen.push(tick);
    let outcome = run::run(&plan, Meeting::Scripted(script), Some(&mut watch)).expect("a blinker");
    assert_eq!(outcome.population, 3);
    assert!(!seen.is_empty() && seen.is_sorted() && seen.iter().all(|&tick| tick <= TICKS), "{seen:?}");
}

/// `#..#..#..#` over `..#..#..#.`
const PNG: &str = "89504e470d0a1a0a0000000d494844520000000a000000020100000000491a707d00000011494441547801010600f9ff\
    006dbf00db7f07580287c04d13640000000049454e44ae426082";

#[test]
fn pictures_show_each_cell_at_its_place() {
    let cells: Vec<Vec<bool>> = (0..3).map(|y| (0..70).map(|x| (x + y) % 3 == 0).collect()).collect();
    let size = Size { width: 70, height: 3 };
    let mut pgm = Vec::new();
    picture::write(picture::Format::Pgm, &mut pgm, size, &packed(&cells)).expect("memory takes all");
    let pixels: Vec<u8> = cells.iter().flatten().map(|&cell| if cell { 0 } else { 255 }).collect();
    assert_eq!(pgm, [&b"P5\n70 3\n255\n"[..], &pixels].concat());

    // The PNG of the first ten columns of two rows, checked once with another reader, checksums and all.
    let corner: Vec<Vec<bool>> = cells[..2].iter().map(|row| row[..10].to_vec()).collect();
    let mut file = Vec::new();
    let size = Size { width: 10, height: 2 };
    picture::write(picture::Format::Png, &mut file, size, &packed(&corner)).expect("memory takes all");
    let hex: String = file.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, PNG);
}

// A million cells; safe code of one thread.
#[cfg(not(miri))]
#[test]
fn a_large_png_is_cut_into_blocks() {
    let size = Size { width: 2000, height: 600 };
    let picture: Vec<u64> = (0..size.words() as u64 * 600).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    let mut file = Vec::new();
    picture::write(picture::Format::Png, &mut file, size, &picture).expect("memory takes all");
    // Signature and header are 33 bytes; then the chunk's length and kind and two bytes of zlib.
    let mut rest = &file[33 + 8 + 2..];
    let mut pixels = Vec::new();
    let mut last = 0;
    while last == 0 {
        let length = usize::from(u16::from_le_bytes([rest[1], rest[2]]));
        assert_eq!((rest[1], rest[2]), (!rest[3], !rest[4]));
        pixels.extend_from_slice(&rest[5..5 + length]);
        (last, rest) = (rest[0], &rest[5 + length..]);
    }
    assert_eq!(rest.len(), 4 + 4 + 12, "Adler-32, CRC-32, and the last chunk");
    for (row, words) in pixels.chunks_exact(251).zip(picture.chunks_exact(size.words())) {
        let shown: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).take(250).collect();
        assert_eq!(row[0], 0);
        assert!(row[1..].iter().zip(&shown).all(|(byte, cells)| *byte == !cells.reverse_bits()));
    }
    assert_eq!(pixels.len(), 251 * 600);
}

// Its face: processes and files, neither of which Miri has.

#[cfg(not(miri))]
fn data(name: &str) -> String {
    format!("{}/examples/data/{name}.rle", env!("CARGO_MANIFEST_DIR"))
}

/// The example's program. `cargo test` has put it beside this one, but `cargo test --test life` builds no examples:
/// there it may be missing, or older than what is tested.
#[cfg(not(miri))]
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test.ancestors().nth(2).expect("target/<profile>/deps/life-<hash>");
        let program = profile.join("examples").join(format!("life{}", std::env::consts::EXE_SUFFIX));
        let built = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
        if built(&program) < built(&test) {
            let name = profile.file_name().filter(|&name| name != "debug").unwrap_or("dev".as_ref());
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo.args(["build", "--quiet", "--example", "life", "--profile"]).arg(name);
            cargo.arg("--target-dir").arg(profile.parent().expect("target")).current_dir(env!("CARGO_MANIFEST_DIR"));
            assert!(cargo.status().expect("cargo runs").success(), "{cargo:?}");
        }
        program
    })
}

/// Runs the example: exit code, stdout, stderr.
#[cfg(not(miri))]
fn life(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program()).args(arguments).output().expect("the example runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

// Starts a process, which Miri cannot.
#[cfg(not(miri))]
#[test]
fn a_run_says_what_it_did() {
    let (code, out, err) = life(&[&data("r-pentomino"), "--threads", "2", "--bind", "none"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for part in [
        "R-pentomino",
        "2560 x 2560",
        "2 at a phalanx barrier, bind none",
        "1103 in",
        "population  116, as is known of r-pentomino at tick 1103",
        "(floats)",
        "waited least",
    ] {
        assert!(out.contains(part), "no {part:?} in:\n{out}");
    }
}

// Starts a process, which Miri cannot.
#[cfg(not(miri))]
#[test]
fn a_grid_that_the_pattern_outgrows_is_told_and_no_error() {
    let (code, out, err) = life(&[&data("r-pentomino"), "--size", "64x64", "--barrier", "std"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("r-pentomino has 116 at tick 1103") && out.contains("border      reached at tick"), "{out}");
}

// Starts a process, which Miri cannot.
#[cfg(not(miri))]
#[test]
fn errors_name_the_place_and_the_sizes() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("life");
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let bad = folder.join("bad.rle");
    std::fs::write(&bad, "#N bad\nx = 7, y = 3\nbo5b$3bo3q$2o2b3o!\n").expect("a file");
    let bad = bad.to_str().expect("UTF-8");

    let (code, out, err) = life(&[bad]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with(&format!("life: {bad}:3:10: unexpected 'q'")), "{err}");

    let (code, _, err) = life(&[&data("gosper-glider-gun"), "--size", "30x40"]);
    assert_eq!(code, Some(1));
    assert_eq!(err, "life: a grid of 30 x 40 is too small for a pattern of 36 x 9\n");

    let (code, _, err) = life(&["no-such-file.rle"]);
    assert_eq!(code, Some(1));
    assert!(err.starts_with("life: cannot read no-such-file.rle: "), "{err}");

    for usage in [
        &["--threads", "0"][..],
        &["--threads", "1025"],
        &["--size", "0x5"],
        &["--size", "wide"],
        &["--image", "a.bmp"],
        &["--barrier", "x"],
    ] {
        let (code, _, err) = life(usage);
        assert_eq!(code, Some(2), "{usage:?}: {err}");
        assert!(err.contains(usage[1]), "{usage:?}: {err}");
    }

    let image = folder.join("end.png");
    let image = image.to_str().expect("UTF-8");
    let (code, out, err) = life(&[&data("diehard"), "--size", "200x100", "--image", image, "--ticks", "10"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains(image), "{out}");
    assert!(std::fs::read(image).expect("a picture").starts_with(b"\x89PNG"));
}
