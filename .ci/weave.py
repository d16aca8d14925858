"""Puts every mutant that `cargo mutants --list --json` names into one copy of the library, to be chosen when a program starts.

A mutant costs cargo-mutants a build; here all of them cost one. A function with mutants 17 and 18 becomes

    fn f() { match crate::woven::active(3) { 17 => { its body with mutation 17 } 18 => { ... } _ => { its body } } }

and the variable PHALANX_MUTANT says which one a process runs; without it the copy does what the library does. PHALANX_REACHED=file
makes a process note there which functions (3) it has entered, so that a mutant only meets tests that can notice it. What does not compile
is unviable: its arm is taken out, and the copy is built again until it builds.

Not woven, because a match cannot stand there: mutants outside of functions, in `const` functions, and in those that return `impl Trait`
(each body has a type of its own). They are listed for cargo-mutants itself.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

RUNTIME = """
/// Which mutant runs.
#[doc(hidden)]
#[allow(missing_docs, unsafe_code, clippy::all)]
pub mod woven {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
    static CHOSEN: AtomicU32 = AtomicU32::new(0);
    static RECORDS: AtomicBool = AtomicBool::new(false);
    static REACHED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];
    #[used]
    #[unsafe(link_section = ".init_array")]
    static BEGIN: extern "C" fn() = begin;
    extern "C" fn begin() {
        let chosen = std::env::var("PHALANX_MUTANT").ok().and_then(|text| text.parse().ok());
        CHOSEN.store(chosen.unwrap_or(0), Relaxed);
        RECORDS.store(std::env::var_os("PHALANX_REACHED").is_some(), Relaxed);
    }
    #[inline(always)]
    pub fn active(function: usize) -> u32 {
        if RECORDS.load(Relaxed) { record(function) }
        CHOSEN.load(Relaxed)
    }
    #[cold]
    fn record(function: usize) {
        use std::io::Write;
        if !REACHED[function].swap(true, Relaxed) {
            let path = std::env::var_os("PHALANX_REACHED").unwrap();
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            let _ = file.write_all(format!("{function}\\n").as_bytes());
        }
    }
}
"""


def offsets(text):
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return lambda place: starts[place["line"] - 1] + place["column"] - 1


def skip(text, at):
    """Behind the comment, string or character that begins at `at`; `at` if none does."""
    if text.startswith("//", at):
        return text.index("\n", at)
    if text.startswith("/*", at):
        return text.index("*/", at) + 2
    if raw := re.compile(r'b?r(#*)"').match(text, at):
        return text.index('"' + raw.group(1), raw.end()) + 1 + len(raw.group(1))
    if text[at] == '"':
        at += 1
        while text[at] != '"':
            at += 2 if text[at] == "\\" else 1
        return at + 1
    if char := re.compile(r"'(\\.[^']*|[^'\\])'").match(text, at):
        return char.end()
    return at


def body_of(text, start, end):
    """Where the body of the function between these places begins, and the signature before it."""
    at, depth = start, 0
    bare = []
    while at < end:
        behind = skip(text, at)
        if behind != at:
            at = behind
            continue
        depth += (text[at] in "([") - (text[at] in ")]")
        if text[at] == "{" and depth == 0:
            return at, "".join(bare)
        bare.append(text[at])
        at += 1
    raise ValueError(f"no body: {text[start:end]!r}")


class Weaving:
    def __init__(self, root, copy, mutants):
        self.root, self.copy = Path(root), Path(copy)
        self.mutants = mutants
        for number, mutant in enumerate(mutants, 1):
            mutant["id"] = number
            mutant["unviable"] = mutant["apart"] = mutant["elsewhere"] = False
        self.functions = []  # (file, start, end): one entry per woven function
        self.ranges = {}

    def prepare(self):
        for path in sorted({mutant["file"] for mutant in self.mutants}):
            text = (self.root / path).read_text()
            at = offsets(text)
            known = {}
            for mutant in (m for m in self.mutants if m["file"] == path):
                mutant["at"] = at(mutant["span"]["start"]), at(mutant["span"]["end"])
                mutant["was"] = text[slice(*mutant["at"])]
                mutant["line"] = mutant["span"]["start"]["line"]
                function = mutant["function"]
                if not function:
                    mutant["apart"] = True
                    continue
                start, end = at(function["span"]["start"]), at(function["span"]["end"])
                brace, signature = body_of(text, start, end)
                if re.search(r"\bconst\s+(unsafe\s+)?fn\b", signature) or "impl " in function["return_type"]:
                    mutant["apart"] = True
                    continue
                if brace not in known:
                    known[brace] = len(self.functions)
                    self.functions.append((path, brace, end, function["function_name"]))
                mutant["woven_in"] = known[brace]

    def probe(self, command):
        """Marks what this system does not compile (code for others, and for the models), and the tests' own code.

        Every woven function gets a `compile_error!`, which the compiler reports for all that it sees."""
        for path in {path for path, *_ in self.functions}:
            text = (self.root / path).read_text()
            for number, (file, brace, _, _) in sorted(enumerate(self.functions), key=lambda spot: -spot[1][1]):
                if file == path:
                    text = text[: brace + 1] + f'compile_error!("woven {number} ");' + text[brace + 1 :]
            (self.copy / path).write_text(text)
        done = subprocess.run(command, cwd=self.copy, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seen = {int(number) for number in re.findall(r'"message":"woven (\d+) "', done.stdout)}
        if not seen:
            sys.exit(done.stderr[-2000:] + "\nstrength: no function is compiled")
        for mutant in self.mutants:
            if mutant["apart"]:
                continue
            path, brace, *_ = self.functions[mutant["woven_in"]]
            tests = re.search(r"^#\[cfg\((?:all\()?test.*\n(?:#\[.*\n)*mod tests \{", (self.root / path).read_text(), flags=re.M)
            in_tests = path.endswith("/tests.rs") or (tests is not None and tests.start() < brace)
            mutant["elsewhere"] = mutant["woven_in"] not in seen or in_tests

    def weave(self):
        for path in sorted({mutant["file"] for mutant in self.mutants}):
            text = (self.root / path).read_text()
            changes = []  # (brace, end, what stands there now), inner before outer
            spots = [(number, brace, end) for number, (file, brace, end, _) in enumerate(self.functions) if file == path]
            for number, brace, end in sorted(spots, key=lambda spot: spot[2] - spot[1]):
                arms = []
                for mutant in self.mutants:
                    if mutant.get("woven_in") == number and not mutant["unviable"] and not mutant["elsewhere"]:
                        a, b = mutant["at"]
                        changed = text[brace:a] + mutant["replacement"] + text[b:end]
                        arms.append(f"\n/*<M{mutant['id']}*/ {mutant['id']} => {changed}\n/*M{mutant['id']}>*/")
                sound = text[brace:end]
                for inner, inner_end, now in sorted(changes, reverse=True):
                    if brace < inner and inner_end <= end:
                        sound = sound[: inner - brace] + now + sound[inner_end - brace :]
                changes = [change for change in changes if not brace < change[0] < end]
                changes.append((brace, end, f"{{ match crate::woven::active({number}) {{{''.join(arms)} _ => {sound} }} }}" if arms else sound))
            for brace, end, now in sorted(changes, reverse=True):
                text = text[:brace] + now + text[end:]
            if path == "src/lib.rs":
                raise ValueError("lib.rs cannot be woven")
            (self.copy / path).write_text(text)
            self.ranges[path] = [
                (text.count("\n", 0, text.index(f"/*<M{m['id']}*/")) + 1, text.count("\n", 0, text.index(f"/*M{m['id']}>*/")) + 1, m)
                for m in self.mutants
                if m["file"] == path and f"/*<M{m['id']}*/" in text
            ]
        library = (self.root / "src/lib.rs").read_text()
        (self.copy / "src/lib.rs").write_text(library + RUNTIME.replace("COUNT", str(max(1, len(self.functions)))))

    def guilty(self, message):
        """The mutants whose text the compiler complains of."""
        for span in message["spans"]:
            if not span["is_primary"]:
                continue
            while span:
                for first, last, mutant in self.ranges.get(span["file_name"], []):
                    if first <= span["line_start"] <= last:
                        yield mutant
                span = (span.get("expansion") or {}).get("span")

    def build(self, command):
        """Builds until it builds; the test binaries, by name."""
        for attempt in range(20):
            self.weave()
            done = subprocess.run(command, cwd=self.copy, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            if done.returncode == 0:
                return {m["target"]["name"] + ("" if m["target"]["kind"] == ["test"] else ".lib"): m["executable"] for m in messages if m.get("executable")}
            errors = [m["message"] for m in messages if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
            found = {mutant["id"]: (mutant, error) for error in errors for mutant in self.guilty(error)}
            if not found:
                sys.exit("\n".join(error["rendered"] for error in errors[:10]) + done.stderr[-2000:] + "\nstrength: the copy does not build")
            for mutant, error in found.values():
                mutant["unviable"] = True
                mutant["error"] = error["message"]
            print(f"strength: {len(found)} unviable mutants taken out", flush=True)
        sys.exit("strength: the copy does not build after 20 attempts")
