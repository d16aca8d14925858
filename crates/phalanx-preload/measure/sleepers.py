#!/usr/bin/env python3
"""Measures the CPU time of whole programs that do nothing but sleep between trips, on glibc's barriers and on preloaded ones.

Such a program uses so little (6 ms in a second) that the start of a library and a few cold cache lines show. So this is finer than
measure.py: in a round each kind runs once, in an order that is drawn, and what is said is the mean over all rounds of what a kind
takes more than glibc (mean of its two runs of the same round) with its standard error, and the ratios.

    glibc, glibc again    as it is, twice
    empty                 a library is preloaded that holds nothing
    least                 one with the least that a barrier can be (least.c)
    preload               ours; with --other FILE others too

With --crowd N, N processes of each kind run at the same time, each started up to 20 ms behind the last: then all have the same minute,
rounds are steadier, and caches warmer than they are for a program alone.

"disk" is how many of a process's page faults waited for the disk. A system that takes back pages which nobody has used for seconds makes such
waits, and a library that few use is more in danger than the C library. With --hold programs and preloaded libraries stay in memory.

Which pages of memory a file lies in shows as well: identical copies of a library are up to 0.2 ms in a second apart, in all rounds. So each
round has copies of its own, and the mean is one over places. With --as-they-are the files are used as they lie: a linker leaves a file's pages
further apart than a copy's. They are read at the beginning of each round, so that they are in memory as a new copy would be. Of ours there
can be several then, linked one by one, and each round takes the next.

Usage: sleepers.py [--rounds N] [--crowd N] [--hold] [--as-they-are] [--other FILE]... [--rows WORD] [--preload FILE]... [--out FILE]
"""

import argparse
import itertools
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

sys.dont_write_bytecode = True  # the folder is the repository's
from measure import BUILD, HERE, Failed, build, describe_machine, describe_state, find_preload, hold, say

# What, the program of measure.py, and how many rounds it gets for each that is asked for.
ROWS = [
    ("the start: 2 trips", "sparse 2 2 10000 sleep", 10),
    ("2 sleep, 1 s", "sparse 2 100 10000 sleep", 1),
    ("1 of 2 sleeps, 1 s", "sparse 2 100 10000 sleep straggler", 1),
    ("8 sleep, 1 s", "sparse 8 100 10000 sleep", 1),
    ("2 sleep, 5 s", "sparse 2 500 10000 sleep", 0.4),
    ("1 of 2 sleeps, 5 s", "sparse 2 500 10000 sleep straggler", 0.4),
]
GLIBC, AGAIN = "glibc", "glibc again"


def build_libraries():
    """The library with nothing in it, and the least barrier."""
    flags = ["gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]
    subprocess.run([*flags, BUILD / "empty.so", "-x", "c", "-nostdlib", os.devnull], check=True)
    subprocess.run([*flags, BUILD / "least.so", HERE / "least.c"], check=True)
    return {"empty": BUILD / "empty.so", "least": BUILD / "least.so"}


def preloading(environment, libraries, folder):
    """An environment for each library, by name: with a copy of it, made now, or with the library itself if there is no folder."""
    environments = {}
    for number, (name, path) in enumerate(libraries.items()):
        if folder:
            path = shutil.copyfile(path, Path(folder) / f"{number}.so")
        environments[name] = {**environment, "LD_PRELOAD": str(path)}
    return environments


def round_of(command, environment, libraries, crowd, copies):
    """One round: CPU times as `cpu_times` has them."""
    kinds = lambda folder: {GLIBC: environment, **preloading(environment, libraries, folder), AGAIN: environment}
    if not copies:
        for path in libraries.values():
            Path(path).read_bytes()
        return cpu_times(command, kinds(None), crowd)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        return cpu_times(command, kinds(folder), crowd)


def cpu_times(command, kinds, crowd):
    """CPU time in ms of one process of each kind, by name, and its waits for the disk; the mean of `crowd` of them, if that is not 0."""
    program, *words = command.split()
    sums, waits, started = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0), {}
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]

    def end(child):
        child, status, usage = os.wait4(child, 0)
        name = started.pop(child)
        if status != 0:
            raise Failed(f"{command} with {name} ended with status {status:#x}")
        sums[name] += 1e3 * (usage.ru_utime + usage.ru_stime)
        waits[name] += usage.ru_majflt

    order = list(kinds) * max(crowd, 1)
    random.shuffle(order)
    for name in order:
        # Not fork: what a child does before its exec would count as the program's.
        child = os.posix_spawn(str(BUILD / program), [program, *words], kinds[name], file_actions=silent)
        started[child] = name
        if crowd:
            time.sleep(random.random() * 0.02)
        else:
            end(child)
    for child in list(started):
        end(child)
    return {name: (total / max(crowd, 1), waits[name] / max(crowd, 1)) for name, total in sums.items()}


def lines(what, command, rounds):
    """The lines of a row: one for each kind."""
    glibc = [(round_[GLIBC][0] + round_[AGAIN][0]) / 2 for round_ in rounds]
    for name in rounds[0]:
        times, waits = zip(*(round_[name] for round_ in rounds))
        more = [time - base for time, base in zip(times, glibc)]
        ratios = [base / time for time, base in zip(times, glibc)]
        error = statistics.stdev(more) / len(more) ** 0.5
        yield (
            f"| {what} | `{command}` | {name} | {statistics.mean(times):.3f} | {statistics.mean(more):+.3f} ± {error:.3f} "
            f"| {statistics.mean(glibc) / statistics.mean(times):.3f} | {statistics.median(ratios):.3f} | {statistics.mean(waits):.2f} | {len(rounds)} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=30, help="of each row that takes a second")
    parser.add_argument("--crowd", type=int, default=0, help="processes of each kind at the same time")
    parser.add_argument("--rows", default="", help="only rows whose command or name holds this word")
    parser.add_argument("--hold", action="store_true", help="keep programs and preloaded libraries in memory (as root, or with ulimit -l)")
    parser.add_argument("--as-they-are", action="store_true", help="do not copy the libraries for each round")
    parser.add_argument("--other", action="append", default=[], help="another library to preload")
    parser.add_argument("--preload", action="append", default=[], help="our library, instead of one that is built; several with --as-they-are")
    parser.add_argument("--out", help="where the table goes as well")
    options = parser.parse_args()
    if options.rounds < 2 or options.crowd < 0:
        parser.error("at least 2 rounds, and a crowd of at least 0")
    if len(options.preload) > 1 and not options.as_they_are:
        parser.error("several of our libraries only with --as-they-are")
    state = describe_state()
    build()
    libraries = build_libraries()
    ours = [found for file in options.preload or [None] if (found := find_preload(file))]
    if ours:
        libraries["preload"] = ours[0]
    for other in options.other:
        if not Path(other).is_file():
            raise Failed(f"there is no {other}")
        libraries[Path(other).name] = Path(other).resolve()
    if options.hold:
        hold([*sorted(BUILD.iterdir()), *libraries.values(), *ours[1:]])
    plain = {k: v for k, v in os.environ.items() if not k.startswith("PHALANX_") and k != "LD_PRELOAD"}
    rows = [row for row in ROWS if options.rows in row[0] or options.rows in row[1]]
    if not rows:
        raise Failed(f"no row has {options.rows!r} in it")
    started, table = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), []
    for what, command, times in rows:
        of = lambda file: {**libraries, "preload": file} if file else libraries
        run = lambda file: round_of(command, plain, of(file), options.crowd, not options.as_they_are)
        for file in ours or [None]:
            run(file)  # warms up
        files = itertools.cycle(ours or [None])
        rounds = [run(next(files)) for _ in range(max(2, round(options.rounds * times)))]
        table += lines(what, command, rounds)
        say(f"{what}: {len(rounds)} rounds")
    text = "\n".join([
        f"Machine: {describe_machine()}",
        f"Commit: {state}. Started: {started}.",
        f"Command: `{' '.join(['crates/phalanx-preload/measure/sleepers.py', *sys.argv[1:]])}`",
        "",
        "| what | command | | CPU time, ms | more than glibc, ms | glibc / it: of the means | median of the ratios | disk | rounds |",
        "|---|---|---|---|---|---|---|---|---|",
        *table,
    ])
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, subprocess.CalledProcessError) as error:
        sys.exit(f"sleepers: {error}")
