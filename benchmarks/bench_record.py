"""A long record: what it takes to judge it and to write its report; and how commands start.

    python3 dev.py bench record [--hours 0.5 2 24] [--rate 200] [--open] [--rounds 15] [--json FILE]

Runs are made through the load generator's own writer (``longrecord.py``) and deleted at the end.
Each is judged and reported by one process (``seatrial report`` of a run that was never judged), and
then by one for each (``evaluate``, ``report``); time is the whole process', memory its largest
resident set. ``--help`` and ``validate`` take turns. On a busy machine the clock says little:
processor time stands beside it, and how long a fixed piece of work took, before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import loopback
from longrecord import make_run

from runner.store import RunDir

ROOT = Path(__file__).parent.parent
SEATRIAL = Path(sys.executable).with_name("seatrial")
MIB = 1 << 20
BOTH_S, MEMORY_MIB, PAGE_MIB, SHORT_S = 10.0, 400.0, 3.0, 2.0
"""Goals: evaluation and report of the longest run; of a run of half an hour, the evaluation."""
HELP_MS, VALIDATE_MS = 150.0, 300.0
SHORT_H = 0.5


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process took.

    Attributes:
        wall_s: From its start to its end.
        cpu_s: Processor time.
        peak_mib: Its largest resident set.
        code: Its exit code.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    code: int


def spend(*arguments: str | Path) -> Spent:
    """Run ``seatrial`` in a process of its own."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [SEATRIAL, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    return Spent(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, child.returncode)


def yardstick_s() -> float:
    """Processor time of a fixed piece of work: how fast the machine is just now."""
    began, total = time.process_time(), 0
    for number in range(3_000_000):
        total += number % 7
    return time.process_time() - began


def judged(run: RunDir, hours: float) -> dict[str, Any]:
    """What it takes to judge ``run`` and to report it."""
    results = ("--results", run.path.parent.parent)
    both = spend("report", run.path, *results)
    page_mib = (run.report_dir / "index.html").stat().st_size / MIB
    shutil.rmtree(run.report_dir)  # With it, evaluate would write it again.
    alone = spend("evaluate", run.path, *results)
    report = spend("report", run.path, *results)
    if both.code or report.code or alone.code not in (0, 1):
        raise SystemExit(f"exit codes {both.code}, {alone.code}, {report.code} at {hours:g} h")
    return {
        "hours": hours,
        "file_mib": (run.load_dir / "seconds.jsonl").stat().st_size / MIB,
        "both": asdict(both),
        "evaluate": asdict(alone),
        "report": asdict(report),
        "page_mib": page_mib,
    }


def record(hours: list[float], rate: float, *, is_open: bool) -> list[dict[str, Any]]:
    """Runs of all lengths, and a table."""
    print(f"\nruns at {rate:g} requests/s, {'open' if is_open else 'closed'} model, ten endpoints,")
    print("six services, a fault every hour; seconds by the clock (of processor time), peak MiB\n")
    head = ("record", "made", "both in one", "", "evaluate", "", "report", "", "page")
    print(f"{'':>6}{head[0]:>9}{head[1]:>8}", end="")
    print(f"{head[2]:>16}{'MiB':>6}{head[4]:>16}{'MiB':>6}{head[6]:>16}{'MiB':>6}{head[8]:>9}")
    rows = []
    for length in hours:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            run = make_run(Path(folder), length, rate, is_open=is_open)
            made_s = time.perf_counter() - began
            row = judged(run, length) | {"made_s": made_s}
        line = f"{length:g} h".rjust(6) + f"{row['file_mib']:9.1f}{made_s:7.1f}s"
        for part in ("both", "evaluate", "report"):
            spent = row[part]
            times = f"{spent['wall_s']:.1f} ({spent['cpu_s']:.1f})"
            line += f"{times:>16}{spent['peak_mib']:6.0f}"
        print(line + f"{row['page_mib']:9.2f}", flush=True)
        rows.append(row)
    last = rows[-1]
    peak_mib = max(last[part]["peak_mib"] for part in ("both", "evaluate", "report"))
    print(
        f"\nthe longest, both in one: < {BOTH_S:g} s: {met(last['both']['wall_s'] < BOTH_S)}; ",
        end="",
    )
    print(f"< {MEMORY_MIB:g} MiB: {met(peak_mib < MEMORY_MIB)}; ", end="")
    print(f"page < {PAGE_MIB:g} MiB: {met(last['page_mib'] < PAGE_MIB)}")
    for row in rows:
        if row["hours"] == SHORT_H:
            print(f"{SHORT_H:g} h, evaluate: < {SHORT_S:g} s: ", end="")
            print(met(row["evaluate"]["wall_s"] < SHORT_S))
    return rows


def starts(rounds: int) -> dict[str, Any]:
    """Median milliseconds of commands that should answer at once; they take turns."""
    commands = {"--help": ["--help"], "validate": ["validate", "normal"]}
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, arguments in commands.items():
            took[name].append(1000 * spend(*arguments).wall_s)
    found: dict[str, Any] = {}
    print(f"\nwhole processes, median of {rounds}, in milliseconds")
    for (name, values), goal_ms in zip(took.items(), (HELP_MS, VALIDATE_MS), strict=True):
        middle = statistics.median(values)
        print(
            f"  seatrial {name:<10}{middle:6.0f}   ({min(values):.0f} - {max(values):.0f})", end=""
        )
        print(f"   goal {goal_ms:g}: {met(middle < goal_ms)}")
        found[name] = {"median_ms": middle, "least_ms": min(values), "most_ms": max(values)}
    return found


def met(holds: bool) -> str:
    return loopback.goal(holds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[0.5, 2.0, 24.0])
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--open", action="store_true", help="arrivals at a rate, not users")
    parser.add_argument("--rounds", type=int, default=15, help="starts of each command")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    print(loopback.machine())
    before_s = yardstick_s()
    figures = {
        "machine": loopback.machine(),
        "runs": record(args.hours, args.rate, is_open=args.open),
        "starts": starts(args.rounds),
    }
    print(f"\na fixed piece of work took {before_s:.2f} s before, {yardstick_s():.2f} s after")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
