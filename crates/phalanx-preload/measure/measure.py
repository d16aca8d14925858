#!/usr/bin/env python3
"""Measures what the preload makes of C programs that wait at pthread barriers; writes a Markdown table and judges it.

Each row is one command. A round runs it once on glibc's barriers, once preloaded, once more on glibc's, and where there is musl-gcc once
linked to musl, in an order that turns with each round; what is compared is of the same round. The table has the median of these ratios
and its quartiles. The second run on glibc's barriers says what the method sees where nothing differs: "never slower" means that the
median is not below the lower quartile of that.

    trip        time of a trip, as the program measures it between its first and its last
    program     time of the whole program from its start to its end, loading and what the library learns at its start included
    CPU time    of the whole program, from the kernel

Rows beside busy processes have one of those for each CPU. In all others, rounds in which somebody else had more than a tenth of the
machine are left out of the medians, unless all are; then the row is not judged. With --first they all count: then others get what these
programs leave. But the kernel still takes their CPUs for busy when it places a thread, so two threads may share one while the other is free.

Without a preload to be found glibc is measured against glibc: every ratio must then be about one.

With --hold programs and preloaded libraries stay in memory: some systems take back pages that nobody has used for seconds.

Usage: measure.py [--quick] [--first] [--hold] [--seconds N] [--rows WORD] [--preload FILE] [--out FILE]
"""

import argparse
import atexit
import ctypes
import mmap
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
BUILD = TARGET / "preload" / "measure"

# Rows with a busy process on each CPU, that waits for nobody.
BESIDE = "beside busy processes: "
# What, command, quantity, what must be reached: the least ratio, or "never slower", which is judged by how far glibc is from itself.
ROWS = [
    ("2 pinned threads", "trips 2 50 pinned", "trip", 50.0),
    ("4 threads", "trips 4 50", "trip", 2.0),
    ("8 threads", "trips 8 50", "trip", 2.0),
    ("16 threads", "trips 16 50", "trip", 2.0),
    ("64 threads", "trips 64 50", "trip", 2.0),
    ("Jacobi 64², 2 threads", "jacobi 64 2 8000", "program", 5.0),
    ("Jacobi 64², 8 threads", "jacobi 64 8 3000", "program", "never slower"),
    ("Jacobi 64², 16 threads", "jacobi 64 16 1500", "program", "never slower"),
    ("Jacobi 256², 2 threads", "jacobi 256 2 4000", "program", "never slower"),
    ("Jacobi 256², 8 threads", "jacobi 256 8 2000", "program", "never slower"),
    ("Jacobi 256², 16 threads", "jacobi 256 16 1000", "program", "never slower"),
    ("Jacobi 512², 2 threads", "jacobi 512 2 1000", "program", "never slower"),
    ("Jacobi 512², 8 threads", "jacobi 512 8 800", "program", "never slower"),
    ("Jacobi 512², 16 threads", "jacobi 512 16 600", "program", "never slower"),
    ("10 ms computed by 2", "sparse 2 25 10000 compute", "CPU time", 1 / 1.1),
    ("10 ms computed by 1 of 2", "sparse 2 25 10000 compute straggler", "CPU time", 1 / 1.1),
    ("10 ms computed by 1 of 8", "sparse 8 25 10000 compute straggler", "CPU time", 1 / 1.1),
    ("10 ms slept by 2", "sparse 2 100 10000 sleep", "CPU time", 1 / 1.1),
    ("10 ms slept by 8", "sparse 8 100 10000 sleep", "CPU time", 1 / 1.1),
    ("10 ms slept by 1 of 2", "sparse 2 100 10000 sleep straggler", "CPU time", 1 / 1.1),
    # In a program of one second (6 ms of CPU) the start of the library weighs as much as its trips; `sleepers.py` tells them apart.
    ("10 ms slept by 2, for 5 s", "sparse 2 500 10000 sleep", "CPU time", 1 / 1.1),
    ("10 ms slept by 1 of 2, for 5 s", "sparse 2 500 10000 sleep straggler", "CPU time", 1 / 1.1),
    (BESIDE + "4 threads", "trips 4 50", "trip", "never slower"),
    (BESIDE + "16 threads", "trips 16 50", "trip", "never slower"),
    (BESIDE + "Jacobi 64², 2 threads", "jacobi 64 2 4000", "program", "never slower"),
    (BESIDE + "Jacobi 256², 8 threads", "jacobi 256 8 1000", "program", "never slower"),
    (BESIDE + "Jacobi 512², 8 threads", "jacobi 512 8 800", "program", "never slower"),
    (BESIDE + "the same for longer", "jacobi 512 8 8000", "program", "never slower"),
]
# Rows of `--quick`.
FEW = ("trips 2 50 pinned", "trips 4 50", "trips 64 50", "jacobi 64 2 8000", "jacobi 256 8 2000", "jacobi 512 16 600", "sparse 2 25 10000 compute straggler", "sparse 8 100 10000 sleep")
FEWEST, MOST = 3, 60
BUSY = 0.1
# Seconds after which a program hangs.
LIMIT = 60


class Failed(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def output_of(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def describe_state():
    """The commit, and whether there is more."""
    return output_of("git", "rev-parse", "--short=10", "HEAD") + (" with changes" if output_of("git", "status", "--porcelain") else "")


def describe_machine():
    """CPUs, kernel, C library and compiler."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    compiler = output_of("gcc", "--version").splitlines()[0]
    return f"{os.cpu_count()} CPUs, {model.group(1) if model else platform.machine()}; Linux {platform.release()}; {' '.join(platform.libc_ver())}; {compiler}"


def build():
    """Builds the programs; those for musl too, where they can be."""
    BUILD.mkdir(parents=True, exist_ok=True)
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    for name in ("trips", "jacobi", "sparse"):
        subprocess.run(["gcc", *flags, "-o", BUILD / name, HERE / f"{name}.c", "-lm"], check=True)
        if shutil.which("musl-gcc"):
            subprocess.run(["musl-gcc", *flags, "-static", "-o", BUILD / f"{name}.musl", HERE / f"{name}.c", "-lm"], check=True)
    return bool(shutil.which("musl-gcc"))


def find_preload(asked):
    """The library to preload, built anew unless one is named; nothing if there is none to build."""
    if asked:
        if not Path(asked).is_file():
            raise Failed(f"there is no {asked}")
        return Path(asked).resolve()
    if not (HERE.parent / "Cargo.toml").exists():
        say("there is no crate phalanx-preload to build: glibc is measured against glibc")
        return None
    subprocess.run(["cargo", "build", "--quiet", "--profile", "lean", "-p", "phalanx-preload"], cwd=ROOT, check=True)
    return TARGET / "lean" / "libphalanx_preload.so"


def machine_use():
    """Seconds that all CPUs have been busy since the start of the machine, whoever kept them."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run(command, environment):
    """Runs a program: what it says, seconds from start to end, seconds of CPU."""
    read, write = os.pipe()
    began = time.perf_counter()
    child = os.posix_spawn(command[0], command, environment, file_actions=[(os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_CLOSE, read), (os.POSIX_SPAWN_CLOSE, write)])
    os.close(write)
    killer = threading.Timer(LIMIT, os.kill, (child, signal.SIGKILL))
    killer.start()
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status, usage = os.wait4(child, 0)
    took = time.perf_counter() - began
    killer.cancel()
    if status != 0:
        raise Failed(f"{' '.join(command)} ended with status {status:#x}; it said: {said.strip()}")
    return said, took, usage.ru_utime + usage.ru_stime


def take_precedence():
    """Before everybody else, in this session; and this session before all others, where the kernel shares by sessions."""
    os.nice(-20)
    group = Path("/proc/self/autogroup")
    if group.exists():
        before = group.read_text().split()[-1]
        group.write_text("-20")
        atexit.register(group.write_text, before)


def hold(files):
    """Keeps these files in memory, and what this interpreter has mapped (the C library among it), until it ends. As root, or with `ulimit -l`.

    Some systems take pages back that nobody has used for seconds. What then has to be read from the disk again is counted as CPU time of
    the program, in part; a library that is preloaded for some programs only is more in danger than the C library, which all use.
    """
    try:
        for file in files:
            with open(file, "rb") as opened:
                HELD.append(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
            sum(HELD[-1][:: mmap.PAGESIZE])  # has each page read
    except OSError as error:
        raise Failed(f"cannot hold {file} in memory: {error.strerror}") from error
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(LOCK_CURRENT) != 0:
        raise Failed(f"cannot hold files in memory: {os.strerror(ctypes.get_errno())} (as root, or with ulimit -l unlimited)")


LOCK_CURRENT, HELD = 1, []


@contextmanager
def neighbours(number):
    """So many processes that compute, in a session of their own, as other users' would be."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(number)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


class Member:
    """Whose barriers: a name, the ending of the program's name, what the environment has more."""

    def __init__(self, name, ending="", **more):
        self.name, self.ending = name, ending
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("PHALANX_") and k != "LD_PRELOAD"}
        self.environment.update(more)

    def measure(self, command, quantity, *more):
        """The quantity in nanoseconds, the CPU time in seconds, and what must not depend on whose barriers they are."""
        program, *words = command.split()
        said, took, cpu = run([str(BUILD / program) + self.ending, *words, *more], self.environment)
        result = re.search(r"sum \S+ change \S+", said)
        if quantity == "trip":
            took = float(re.search(r"trip (\S+) ns", said).group(1)) * 1e-9
        elif quantity == "CPU time":
            took = cpu
        return took * 1e9, cpu, result and result.group()


def spread(values):
    """Median and quartiles."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def measure_row(row, members, seconds, first):
    """Rounds of one row: for each, the quantity of each member, and how much of the machine others had."""
    what, command, quantity, _ = row
    end = time.monotonic() + seconds
    if quantity == "CPU time":
        members = [member for member in members if member.name != "musl"]
    answers = set()
    for member in members:  # warms up, and has the result checked by the program itself
        answers.add(member.measure(command, quantity, *(["check"] if command.startswith("jacobi") else []))[2])
    rounds = []
    while len(rounds) < FEWEST or (len(rounds) < MOST and time.monotonic() < end):
        lasted = others = 0.0
        round_ = {}
        turn = len(rounds) % len(members)
        for member in members[turn:] + members[:turn]:
            used, began = machine_use(), time.monotonic()
            round_[member.name], cpu, answer = member.measure(command, quantity)
            took = time.monotonic() - began
            lasted, others = lasted + took, others + machine_use() - used - cpu
            answers.add(answer)
            # Whoever takes precedence takes turns.
            time.sleep(took if first else 0)
        rounds.append((round_, max(others / lasted / os.cpu_count(), 0.0)))
        if time.monotonic() > end + seconds:
            break
    if len(answers) != 1:
        raise Failed(f"{command}: the results differ: {answers}")
    say(f"{what}: {len(rounds)} rounds")
    return rounds


def human(nanoseconds):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def ratios(rounds, above, below):
    middle, low, high = spread([round_[above] / round_[below] for round_ in rounds])
    digits = 1 if middle >= 10 else 2 if middle >= 3 else 3
    return (middle, low, high), f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def judge(row, rounds, preloaded, first):
    """A line of the table, and what is to be said of the row: `reached`, `MISSED`, or `not judged` and why."""
    what, command, quantity, must = row
    quiet = [round_ for round_, others in rounds if others <= BUSY or first or what.startswith(BESIDE)]
    used = quiet or [round_ for round_, _ in rounds]
    ours, ours_text = ratios(used, "glibc", "preload")
    same, same_text = ratios(used, "glibc", "glibc again")
    if must == "never slower":
        text, reached = must, ours[0] >= min(1.0, same[1])
    elif must < 1:
        text, reached = f"CPU within {1 / must:.2g}", ours[0] >= must
    else:
        text, reached = f"{must:g}x", ours[0] >= must
    verdict = "reached" if reached else "MISSED"
    if not preloaded:
        verdict = "not judged: glibc against glibc"
    elif not quiet:
        verdict = f"not judged, the machine was busy: {'above' if reached else 'below'}"
    medians = [human(statistics.median(round_[name] for round_ in used)) for name in ("glibc", "preload")]
    musl = ratios(used, "musl", "preload")[1] if "musl" in used[0] else "not measured"
    line = f"| {what}: {quantity} | `{command}` | {medians[0]} | {medians[1]} | {ours_text} | {same_text} | {musl} | {len(used)} of {len(rounds)} | {text} | {verdict} |"
    return line, verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true", help="within a minute instead of six")
    parser.add_argument("--first", action="store_true", help="on a machine that others use: before them (nice -20, as root), and half of the time")
    parser.add_argument("--seconds", type=float, help="time for all rows together")
    parser.add_argument("--rows", default="", help="only rows whose command or name holds this word")
    parser.add_argument("--preload", help="the library, instead of one that is built")
    parser.add_argument("--hold", action="store_true", help="keep programs and preloaded libraries in memory (as root, or with ulimit -l)")
    parser.add_argument("--out", help="where the table goes as well")
    options = parser.parse_args()
    # What was measured is what is there now, whatever is committed meanwhile.
    commit = describe_state()
    started = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    if options.first:
        take_precedence()
    musl = build()
    library = find_preload(options.preload)
    if options.hold:
        hold([*sorted(BUILD.iterdir()), *([library] if library else [])])
    members = [Member("glibc"), Member("preload", **({"LD_PRELOAD": str(library)} if library else {})), Member("glibc again")]
    rows = [row for row in ROWS if (options.rows in row[0] or options.rows in row[1]) and (not options.quick or row[1] in FEW and not row[0].startswith(BESIDE))]
    if not rows:
        raise Failed(f"no row has {options.rows!r} in it")
    if musl:
        members.append(Member("musl", ".musl"))
    seconds = options.seconds or (40 if options.quick else 320)
    lines, verdicts, busy = [], Counter(), []
    for row in rows:
        with neighbours(os.cpu_count() if row[0].startswith(BESIDE) else 0):
            rounds = measure_row(row, members, seconds / len(rows), options.first)
        if not row[0].startswith(BESIDE):
            busy += [others for _, others in rounds]
        line, verdict = judge(row, rounds, library, options.first)
        verdicts[verdict[:6]] += 1
        lines.append(line)
    text = "\n".join([
        f"Machine: {describe_machine()}",
        f"Commit: {commit}. Started: {started}. Others had {100 * statistics.median(busy or [0]):.0f} % of the machine in half of the rounds, {100 * max(busy or [0]):.0f} % at most{', of what was left to them' if options.first else ''}.",
        f"Command: `{' '.join(['crates/phalanx-preload/measure/measure.py', *sys.argv[1:]])}`",
        f"Preloaded: {'`' + library.name + '`' if library else 'nothing: glibc against glibc'}",
        "",
        "| what | command | glibc | preload | glibc / preload: median (quartiles) | glibc / glibc again | musl / preload | rounds | must | |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *lines,
        "",
        f"{verdicts['reache']} reached, {verdicts['MISSED']} missed, {verdicts['not ju']} not judged",
    ])
    print(text)
    if options.out:
        Path(options.out).write_text(text + "\n")
    # What judged nothing has shown nothing.
    return 1 if verdicts["MISSED"] or not verdicts["reache"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failed, subprocess.CalledProcessError) as error:
        sys.exit(f"measure: {error}")
