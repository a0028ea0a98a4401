#!/usr/bin/env python3
"""The one door to everything a developer does: ``python3 dev.py help``; ``make`` is a thin cover.

Needs Python's standard library and nothing else; each command first builds what it needs
(``bootstrap.py``), so that every one of them works in a fresh clone.

Exit codes: 0; 1 when a gate or a test fails; 2 when this machine lacks something, with what to do
about it; ``demo`` hands on the exit code of ``seatrial``.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from bootstrap import LOCK, PYPROJECT, ROOT, TOOLS, VENV, Stop, only_one_setup, packages, say, setup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

OLDEST_PYTHON = (3, 11)
KNOWN_PYTHONS = ("python3.13", "python3.12", "python3.11")
DEMO_EXPERIMENT = "first-voyage"
STEP_TIMEOUT_S = 7200.0
NO_TESTS = 5
"""pytest's exit code when it found no test."""
INTERRUPTED, TERMINATED = 130, 143

PYTHON, BIN = VENV / "bin" / "python", VENV / "bin"
CACHES = (
    *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache"),
    *("build", "dist"),
)
VERDICTS = {
    0: "pass",
    1: "fail",
    2: "usage",
    3: "inconclusive",
    4: "aborted by a guard",
    5: "SOMETHING MAY BE LEFT BROKEN",
    70: "a bug of seatrial",
    130: "interrupted, healed",
    143: "terminated, healed",
}


GATES: dict[str, tuple[str | Path, ...]] = {
    "format": (BIN / "ruff", "format", "--check", "."),
    "lint": (BIN / "ruff", "check", "."),
    "types": (BIN / "mypy",),
    "imports": (BIN / "lint-imports", "--no-logo"),
}


def child_environment(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return ``environment`` with the programs of this checkout first on ``PATH``."""
    own = [root / ".venv" / "bin", root / ".tools" / "prometheus" / "usr" / "bin"]
    path = os.pathsep.join([*map(str, own), environment.get("PATH", os.defpath)])
    return {**environment, "PATH": path, "VIRTUAL_ENV": str(root / ".venv")}


def run(*command: str | Path, answers_signals: bool = False) -> int:
    """Run ``command`` in the foreground and return its exit code.

    A Ctrl-C reaches the child by itself, and SIGTERM is handed on; both times this process stays
    until the child has cleaned up after itself. Then it ends too, unless the exit code of the child
    is the answer to the signal (``answers_signals``).
    """
    received: list[int] = []

    def take(number: int, _frame: object) -> None:
        received.append(number)
        if number == signal.SIGTERM:
            child.terminate()

    with subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, env=child_environment(os.environ, ROOT)
    ) as child:
        before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = child.wait(STEP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.terminate()
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if received and not answers_signals:
        sys.exit(128 + received[0])
    return code if code >= 0 else 128 - code


def gates(*names: str) -> int:
    """Run the named gates, all of them even when one fails; return 0 or 1."""
    packages()
    failed = [name for name in names if run(*GATES[name]) != 0]
    say(f"gates: failed: {', '.join(failed)}" if failed else f"gates: passed: {', '.join(names)}")
    return 1 if failed else 0


def demo(arguments: Sequence[str]) -> int:
    """Take one experiment through the built-in sandbox, from its file to its verdict."""
    setup(need_prometheus=True)
    seatrial = BIN / "seatrial"
    # A sandbox of its own: one that is up is left alone.
    own = ("--sandbox-name", f"demo-{os.getpid()}")
    code = run(seatrial, "run", DEMO_EXPERIMENT, *own, *arguments, answers_signals=True)
    say(f"demo: exit code of seatrial: {code} ({VERDICTS.get(code, 'unknown')})")
    return code


def test(arguments: Sequence[str]) -> int:
    """Run the units, then tests of real parts: some two at a time, some one by one; all of them."""
    setup(need_prometheus=True)
    two = ("-n", "2", "--dist", "loadfile")
    steps = {
        "units": ("-n", "2", "-m", "not sandbox"),
        "sandbox, two at a time": (*two, "-m", "sandbox and side_by_side"),
        "sandbox": ("-n", "0", "-m", "sandbox and not side_by_side"),
    }
    codes: list[int] = []
    reports: list[str] = []
    for name, options in steps.items():
        report = TOOLS / f"junit-{len(codes)}.xml"
        report.unlink(missing_ok=True)
        say(f"test: {name}")
        codes.append(
            run(PYTHON, "-m", "pytest", "-q", *options, f"--junitxml={report}", *arguments)
        )
        reports += [report.read_text(encoding="utf-8")] if report.exists() else []
    say(closing_line(reports))
    return tests_verdict(codes, chosen=bool(arguments))


def tests_verdict(codes: Sequence[int], *, chosen: bool) -> int:
    """Return 0 when every step passed; a step without tests fails unless somebody chose tests."""
    bad = [code for code in codes if code not in ({0, NO_TESTS} if chosen else {0})]
    return 0 if 0 in codes and not bad else 1


def closing_line(reports: Sequence[str]) -> str:
    """Return the sum of some JUnit reports, spelled as pytest ends a run."""
    names = ("tests", "failures", "errors", "skipped")
    total, seconds = dict.fromkeys(names, 0), 0.0
    for report in reports:
        for suite in ET.fromstring(report).iter("testsuite"):  # noqa: S314 - written by our own pytest
            seconds += float(suite.get("time", "0"))
            for name in names:
                total[name] += int(suite.get(name, "0"))
    passed = total["tests"] - total["failures"] - total["errors"] - total["skipped"]
    counts = {
        "failed": total["failures"],
        "passed": passed,
        "skipped": total["skipped"],
        "errors": total["errors"],
    }
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f" {said or 'no tests ran'} in {seconds:.2f}s ".center(80, "=")


def check(arguments: Sequence[str]) -> int:
    """Run the gates and every test."""
    return max(gates(*GATES), test(arguments))


def fmt() -> int:
    """Sort the imports and format the code."""
    packages()
    sort = run(BIN / "ruff", "check", "--select", "I", "--fix", ".")
    return max(sort, run(BIN / "ruff", "format", "."))


def bench(arguments: Sequence[str]) -> int:
    """Run the named benchmarks, or all; a single one also takes options of its own."""
    names = list(itertools.takewhile(lambda argument: not argument.startswith("-"), arguments))
    options = arguments[len(names) :]
    files = sorted((ROOT / "benchmarks").glob("bench_*.py"))
    known = {file.stem.removeprefix("bench_").replace("_", "-"): file for file in files}
    unknown = [name for name in names if name not in known]
    if unknown or (options and len(names) != 1):
        what = f"no benchmark {unknown[0]!r}" if unknown else "options go to one benchmark"
        raise Stop(f"{what}: bench [NAME …], or bench NAME OPTION …; names: {', '.join(known)}")
    setup()
    return max([run(PYTHON, known[name], *options) for name in names or known])


def bench_survival(arguments: Sequence[str]) -> int:
    """Kill 300 runs at random moments, and compare every object with the state before."""
    setup(need_prometheus=True)
    return run(PYTHON, ROOT / "benchmarks" / "bench_survival.py", *arguments)


def golden(arguments: Sequence[str]) -> int:
    """Rewrite the golden files."""
    packages()
    return run(PYTHON, "-m", "pytest", "-q", "--update-golden", "-m", "not sandbox", *arguments)


def lock(arguments: Sequence[str]) -> int:
    """Compile the lock anew; without arguments, versions that still fit stay as they are."""
    uv = shutil.which("uv", path=child_environment(os.environ, ROOT)["PATH"])
    if uv is None:
        raise Stop("uv is neither in .venv nor on PATH; try: .venv/bin/python -m pip install uv")
    options = (
        *(part for extra in ("sandbox", "parquet", "notify") for part in ("--extra", extra)),
        *("--group", "dev", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate", "--quiet"),
        *("-c", "constraints.txt", "-o", LOCK.name),
    )
    return run(uv, "pip", "compile", PYPROJECT.name, *options, *arguments)


def clean(arguments: Sequence[str]) -> int:
    """Remove caches; with ``--all`` also the environment and the fetched programs."""
    refuse_all_but(["--all"], arguments)
    folders = [ROOT / name for name in (*CACHES, "__pycache__")]
    for top in ("runner", "tests", "locustfiles", "benchmarks"):
        folders += (ROOT / top).glob("**/__pycache__")
    if "--all" in arguments:
        folders += [VENV, TOOLS]
    with only_one_setup(TOOLS / "setup.lock"):
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def refuse_all_but(known: Sequence[str], arguments: Sequence[str]) -> None:
    """Raise :class:`Stop` for an argument that is not among ``known``."""
    unknown = [argument for argument in arguments if argument not in known]
    if unknown:
        accepted = ", ".join(known) or "no argument"
        raise Stop(f"unknown: {' '.join(unknown)}; accepted: {accepted}")


def plain(command: Callable[[], int]) -> Callable[[Sequence[str]], int]:
    """Return ``command`` as one that refuses every argument."""

    def checked(arguments: Sequence[str]) -> int:
        refuse_all_but([], arguments)
        return command()

    return checked


def just_setup() -> int:
    """Build everything."""
    setup()
    return 0


def explain() -> int:
    """Print every command."""
    say("usage: python3 dev.py COMMAND [ARGUMENT …]     or: make COMMAND [ARGS='…']\n")
    for name, (_command, text) in COMMANDS.items():
        say(f"  {name:<14} {text}")
    return 0


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "setup": (plain(just_setup), "build .venv and fetch what the sandbox needs"),
    "demo": (demo, "one experiment on the built-in sandbox, from file to verdict"),
    "test": (test, "every test: units in parallel, then the sandbox's, one by one"),
    "check": (check, "the gates and every test: what a change must pass"),
    "gates": (plain(lambda: gates(*GATES)), "format, lint, types and import contracts"),
    "fmt": (plain(fmt), "format the code and sort the imports"),
    "lint": (plain(lambda: gates("format", "lint")), "ruff, and whether everything is formatted"),
    "type": (plain(lambda: gates("types")), "mypy, strict"),
    "arch": (plain(lambda: gates("imports")), "the import contracts of pyproject.toml"),
    "bench": (bench, "every benchmark, or those named; bench NAME --help for the options of one"),
    "bench-survival": (bench_survival, "kill 300 runs at random moments: does a fault stay?"),
    "golden": (golden, "rewrite the golden files; read the diff before you commit it"),
    "lock": (lock, "compile requirements.lock anew (needs uv; ARGS=--upgrade for newer versions)"),
    "clean": (clean, "remove caches; ARGS=--all also .venv and .tools; results stay"),
    "help": (plain(explain), "this page"),
}


def use_newer_python() -> None:
    """Replace this process by a newer Python of this machine when this one is too old.

    Raises:
        Stop: When there is none.
    """
    if sys.version_info >= OLDEST_PYTHON:
        return
    for name in KNOWN_PYTHONS:
        program = shutil.which(name)
        if program:
            os.execv(program, [program, *sys.argv])  # noqa: S606 - a path that we just looked up
    raise Stop(
        f"Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or later is needed, "
        f"this is {sys.version.split()[0]}; on Debian 12: sudo apt-get install python3"
    )


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    name, *arguments = argv or ["help"]
    name = {"-h": "help", "--help": "help"}.get(name, name)
    if name not in COMMANDS:
        print(f"dev.py: no command {name!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    if arguments and arguments[0] in ("-h", "--help"):  # Never taken for a wish to do it.
        say(f"{name}: {COMMANDS[name][1]}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # ends the children of a setup
    try:
        use_newer_python()
        return COMMANDS[name][0](arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (Stop, OSError, subprocess.TimeoutExpired) as stop:
        print(f"dev.py: {stop}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
