"""Runs the tests against the mutants that weave.py has put into one copy, and says which survive. `.ci/strength` is the way to call it.

1. Each test runs once alone, without a mutant: it must pass, and leaves its time and the functions that it has entered.
2. A mutant meets the tests that enter its function: those of the library's own that are short, all at once; then the short ones of each
   test binary; then the longer ones, one by one, shortest first. The first that fails, or that takes ten times as long, has killed it.
3. What is known is kept, by the text of the mutant and of its file without tests; a run that was cut short goes on where it was.
"""

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SHORT = 0.25


def names(mutants):
    """Gives each mutant a name that survives changes elsewhere in the file: file, function, what for what, and which of several such."""
    seen = Counter()
    for mutant in sorted(mutants, key=lambda m: (m["file"], m["span"]["start"]["line"], m["span"]["start"]["column"], m["id"])):
        was = {"FnValue": "body", "MatchArm": "arm " + " ".join(mutant["was"].split("=>")[0].split())}.get(mutant["genre"], " ".join(mutant["was"].split()))
        now = mutant["replacement"] or "nothing"
        function = mutant["function"]["function_name"] if mutant["function"] else "constant"
        name = f"{mutant['file']}: {function}: {was} -> {now}"
        seen[name] += 1
        mutant["name"] = name if seen[name] == 1 else f"{name} ({seen[name]})"


def hashed(root, path):
    text = re.split(r"^#\[cfg\((?:all\()?test", (Path(root) / path).read_text(), maxsplit=1, flags=re.M)[0]
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(binary, tests, limit, copy, **env):
    """Runs tests of a binary: (None, seconds) if they pass, else what went wrong."""
    start = time.monotonic()
    child = subprocess.Popen(
        [binary, "--exact", "--test-threads=4", *tests],
        cwd=copy, env={**os.environ, "CARGO_MANIFEST_DIR": str(copy), "RUST_BACKTRACE": "0", **env}, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=limits,
    )
    # A thread of a hung test holds the pipe for ever: it is killed with all that it started.
    timer = threading.Timer(limit, lambda: os.killpg(child.pid, signal.SIGKILL))
    timer.start()
    try:
        output, _ = child.communicate()
    finally:
        timer.cancel()
    took = time.monotonic() - start
    try:
        os.killpg(child.pid, signal.SIGKILL)  # what a test may have left behind
    except ProcessLookupError:
        pass
    if child.returncode == 0:
        return None, took, output
    if took >= limit:
        return "timeout", took, output
    failed = re.findall(r"^test (\S+) \.\.\. FAILED", output, flags=re.M)
    stopped = re.search(r"^(\S+) did not end in|thread '([^']+)'", output, flags=re.M)
    return (failed[0] if failed else f"status {child.returncode}" + (f" in {stopped.group(1) or stopped.group(2)}" if stopped else "")), took, output


def survey(binaries, copy, state, leave):
    """What each test costs and enters."""
    path = state / "tests.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    stamp = {name: int(os.stat(binary).st_mtime) for name, binary in binaries.items()}
    jobs = []
    for name, binary in binaries.items():
        for line in subprocess.run([binary, "--list"], cwd=copy, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.splitlines():
            test = line.removesuffix(": test")
            if line.endswith(": test") and not any(word in test for word in leave):
                jobs.append((name, test))
    noted = state / "reached"
    noted.mkdir(exist_ok=True)

    def one(job):
        name, test = job
        key = f"{name} {test}"
        if key in known and known[key]["stamp"] == stamp[name]:
            return
        file = noted / re.sub(r"\W", "_", key)
        file.unlink(missing_ok=True)
        wrong, took, output = run(binaries[name], [test], 120, copy, PHALANX_REACHED=str(file))
        reached = sorted({int(line) for line in file.read_text().split()}) if file.exists() else []
        known[key] = {"stamp": stamp[name], "seconds": round(took, 3), "reached": reached, "failed": wrong}
        if wrong:
            print(f"strength: {key} fails without a mutant ({wrong}) and judges none", flush=True)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, jobs))
    current = {f"{name} {test}" for name, test in jobs}
    known = {key: value for key, value in known.items() if key in current}
    path.write_text(json.dumps(known))
    return {key: value for key, value in known.items() if not value["failed"]}


def judge(mutant, tests, binaries, copy, longest, favourites, met):
    """(what killed it or None, where, seconds); tests that it has `met` are not run again."""
    mine = {key: test for key, test in tests.items() if mutant["woven_in"] in test["reached"] and test["seconds"] <= longest}
    if not mine:
        return None, "not reached", 0
    mine = {key: test for key, test in mine.items() if key not in met}
    groups = defaultdict(list)
    for key, test in mine.items():
        if test["seconds"] <= SHORT:
            groups[key.split()[0]].append(key)
    first = [key for key in favourites if key in mine][:3]
    rounds = [[key] for key in first if mine[key]["seconds"] > SHORT]
    rounds = sorted(groups.values(), key=lambda group: (not group[0].split()[0].endswith(".lib"), sum(mine[key]["seconds"] for key in group))) + rounds
    rounds += [[key] for key in sorted(mine, key=lambda key: mine[key]["seconds"]) if mine[key]["seconds"] > SHORT and [key] not in rounds]
    spent = 0
    for group in rounds:
        name = group[0].split()[0]
        limit = 4 + 6 * min(sum(mine[key]["seconds"] for key in group), 2 * max(mine[key]["seconds"] for key in group) + 1)
        wrong, took, _ = run(binaries[name], [key.split(" ", 1)[1] for key in group], limit, copy, PHALANX_MUTANT=str(mutant["id"]))
        spent += took
        if wrong:
            return f"{name} {wrong}" if wrong != "timeout" else f"timeout in {name} {group[0].split(' ', 1)[1] if len(group) == 1 else ''}".strip(), name, spent
    return None, "survived", spent


def all_mutants(mutants, tests, binaries, root, copy, state, longest, workers, limit=None):
    path = state / "outcomes.jsonl"
    known = {}
    if path.exists():
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            known[entry["name"], entry["hash"]] = entry
    hashes = {file: hashed(root, file) for file in {m["file"] for m in mutants}}
    lock = threading.Lock()
    stamps = {f"{key.split()[0]} {test['stamp']}": longest for key, test in tests.items()}
    favourites = defaultdict(list)
    begun = time.monotonic()

    def one(mutant):
        key = mutant["name"], hashes[mutant["file"]]
        before = known.get(key)
        if mutant["unviable"] or mutant["apart"] or mutant["elsewhere"] or (before and before["killed"]):
            return
        met = {key for key in tests if before and before["met"].get(f"{key.split()[0]} {tests[key]['stamp']}", -1) >= tests[key]["seconds"]}
        if limit and time.monotonic() - begun > limit:
            return
        killed, where, spent = judge(mutant, tests, binaries, copy, longest, favourites[mutant["file"]], met)
        entry = {"name": key[0], "hash": key[1], "line": mutant["line"], "killed": killed, "where": where, "seconds": round(spent, 2), "met": stamps}
        with lock:
            known[key] = entry
            with path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            if killed and not killed.startswith("timeout"):
                if killed in tests:
                    favourites[mutant["file"]].insert(0, killed)
            elif not killed:
                print(f"survives  {mutant['name']} (line {mutant['line']}; {where})", flush=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, mutants))
    return {m["id"]: known.get((m["name"], hashes[m["file"]])) for m in mutants}


def excused(root):
    """The mutants of .ci/survivors, with the reason."""
    reasons, reason = {}, None
    for line in (Path(root) / ".ci/survivors").read_text().splitlines():
        if line.startswith("= "):
            reason = line[2:]
        elif line and not line.startswith("#"):
            reasons[line] = reason
    return reasons


def report(mutants, outcomes, reasons):
    """A line for each file, and what is not as it should be; how many mutants that is."""
    rows, wrong = defaultdict(Counter), 0
    for mutant in mutants:
        row, outcome = rows[mutant["file"]], outcomes.get(mutant["id"])
        row["mutants"] += 1
        if mutant["elsewhere"]:
            row["elsewhere"] += 1
        elif mutant["unviable"]:
            row["unviable"] += 1
        elif mutant["apart"]:
            row["apart"] += 1
        elif outcome is None:
            row["not run"] += 1
        elif outcome["killed"] is None:
            row["survive"] += 1
            if mutant["name"] not in reasons:
                wrong += 1
                print(f"SURVIVED  {mutant['name']} (line {mutant['line']}; {outcome['where']})")
        else:
            row["timeout" if outcome["killed"].startswith("timeout") else "unit" if outcome["where"].endswith(".lib") else "suite"] += 1
            if mutant["name"] in reasons:
                wrong += 1
                print(f"STALE     {mutant['name']}: killed by {outcome['killed']}")
    columns = ["mutants", "elsewhere", "unviable", "unit", "suite", "timeout", "survive", "apart", "not run"]
    print(f"| file | {' | '.join(columns)} | killed |\n|---|{'--:|' * (len(columns) + 1)}")
    total = Counter()
    for row in rows.values():
        total.update(row)
    for file, row in [*sorted(rows.items()), ("all", total)]:
        killed = row["unit"] + row["suite"] + row["timeout"]
        share = f"{100 * killed / (killed + row['survive']):.1f} %" if killed + row["survive"] else "-"
        print(f"| {file} | {' | '.join(str(row[column]) for column in columns)} | {share} |")
    return wrong, total


CHECK = "cargo check --profile test --all-features --message-format=json --lib".split()
CARGO = "cargo test --no-run --all-features --message-format=json --lib".split()


def main(root, work, paths, quick):
    """The whole of it; the exit status."""
    from weave import Weaving

    root, work = Path(root), Path(work)
    state = work / "state"
    state.mkdir(exist_ok=True)
    longest = float(os.environ.get("LONGEST", "1" if quick else "20"))
    workers = int(os.environ.get("WORKERS", str((os.cpu_count() or 2) + 1)))
    mutants = [m for m in json.loads((work / "mutants.json").read_text()) if any(m["file"].startswith(path) for path in paths)]
    if not mutants:
        sys.exit("strength: there is no mutant of that")
    weaving = Weaving(root, work / "copy", mutants)
    weaving.prepare()
    names(mutants)
    reasons = excused(root)
    unknown = [name for name in reasons if any(name.startswith(path) for path in paths) and name not in {m["name"] for m in mutants}]
    for name in unknown:
        print(f"UNKNOWN   {name}: listed in .ci/survivors, but cargo-mutants makes no such mutant")
    print(f"strength: {len(mutants)} mutants of {len({m['file'] for m in mutants})} files", flush=True)
    weaving.probe(CHECK)
    weaving.build(CHECK)
    binaries = weaving.build(CARGO + [word for test in os.environ["TESTS"].split() for word in ("--test", test)])
    tests = survey(binaries, weaving.copy, state, os.environ.get("LEAVE", "nothing").split())
    print(f"strength: {len(tests)} tests, {sum(bool(t['reached']) for t in tests.values())} of them enter something", flush=True)
    outcomes = all_mutants(mutants, tests, binaries, root, weaving.copy, state, longest, workers)
    wrong, total = report(mutants, outcomes, reasons)
    wrong += len(unknown)
    killed = total["unit"] + total["suite"] + total["timeout"]
    print(f"{killed} passed, {wrong} failed")
    return 0 if wrong == 0 and killed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[4:], sys.argv[3] == "quick"))
