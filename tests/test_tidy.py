"""The tree is tidy: what no linter looks at, checked over every file that git tracks."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MOST_LINES = 400
MOST_FUNCTION_LINES = 70
MOST_BYTES = 1024 * 1024
FOREIGN = re.compile(r"tests/locustfiles/[^/]+/")
"""Third-party files, verbatim, and so not ours to tidy; ``pyproject.toml`` says so to linters."""

BINARY_SUFFIXES = {".png", ".svgz", ".gz", ".ico", ".woff2"}


@dataclass(frozen=True, slots=True)
class Ban:
    """Something that must not be written, where it may be, and what to write instead.

    Attributes:
        pattern: A regular expression, searched in each line.
        instead: What to write.
        within: Only files whose path matches this.
        but_not: Except for those whose path starts with one of these.
    """

    pattern: str
    instead: str
    within: str = r""
    but_not: tuple[str, ...] = ()


# The sandbox stands in for a cluster, the plug-in lives inside of Locust, the actions inside of
# Chaos Toolkit: processes of their own, with real time. The Clock port tells the rest the time.
REAL_TIME = (
    *("runner/process.py", "runner/targets/sandbox/", "runner/chaos/"),
    # What runs inside of Locust; the rest of load/ is pure or reads files.
    *(
        f"runner/load/{name}.py"
        for name in ("crew", "generator", "lead", "listener", "plugin", "worker")
    ),
    "runner/load/swift/",
)
BANS = (
    Ban(r"\btime\.(time|monotonic|sleep)\(", "the Clock port", r"^runner/.*\.py$", REAL_TIME),
    Ban(r"\bdatetime\.(utc)?now\(", "the Clock port", r"^runner/.*\.py$", REAL_TIME),
    Ban(r"# noqa: [A-Z0-9, ]*BLE001(?! - \w)", "the reason: # noqa: BLE001 - because …"),
    Ban(r"# noqa(?!:)", "the rule's name: # noqa: E501"),
    Ban(r"\bmock\.patch|monkeypatch\.setattr\(\s*[\"']?runner\b", "a port and its double"),
    Ban(r"\bshell=True|\bos\.system\(", "a list of arguments", r"\.py$"),
    Ban(r"\b(FIXME|TODO|XXX)\b", "an issue, or the work itself"),
    Ban(r"(?<![\w.)}\]>*-])/(work|root|tmp|home|Users)/", "a path that is found at run time"),
    Ban(r"py[p]i\.org|python[h]osted|npm[j]s\.|crates\.io/|anaconda\.org", "nothing: name no host"),
    Ban(
        r"(?<!no-emit-)(extra-|\b)index-[u]rl|--find-[l]inks|--trusted-[h]ost", "the user's own pip"
    ),
)


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip(f"not a checkout: {listed.stderr.strip()}")
    return tuple(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


@cache
def own() -> tuple[str, ...]:
    return tuple(name for name in tracked() if not FOREIGN.match(name))


@cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def texts() -> list[str]:
    return [name for name in own() if Path(name).suffix not in BINARY_SUFFIXES]


def modules() -> list[str]:
    return [name for name in own() if name.endswith(".py")]


def long_functions(source: str, most: int) -> list[tuple[str, int]]:
    """Return name and length of each function with more than ``most`` lines, decorators aside."""
    found = (
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [(name, length) for name, length in found if length > most]


def test_no_module_is_too_long() -> None:
    """Goal: a file is read in one sitting. Method: count lines."""
    lengths = {name: len(text_of(name).splitlines()) for name in modules()}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_function_is_too_long() -> None:
    """Goal: a function is read at a glance. Method: lengths from the syntax tree."""
    found = {name: long_functions(text_of(name), MOST_FUNCTION_LINES) for name in modules()}
    assert {name: functions for name, functions in found.items() if functions} == {}


def test_every_module_says_what_it_is() -> None:
    """Goal: a docstring in each module. Method: the syntax tree of every file that is not empty."""
    silent = [
        name
        for name in modules()
        if text_of(name).strip() and not ast.get_docstring(ast.parse(text_of(name)))
    ]
    assert silent == []


def test_no_file_is_large() -> None:
    """Goal: a clone stays small. Method: sizes of all tracked files."""
    sizes = {name: (ROOT / name).stat().st_size for name in tracked()}
    assert {name: size for name, size in sizes.items() if size > MOST_BYTES} == {}


@pytest.mark.parametrize("ban", BANS, ids=lambda ban: ban.instead)
def test_nothing_banned_is_written(ban: Ban) -> None:
    """Goal: one way to do it. Method: search each line of the files that the ban covers."""
    found = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in texts()
        if re.search(ban.within, name) and not name.startswith(ban.but_not or "\0")
        for number, line in enumerate(text_of(name).splitlines(), start=1)
        if re.search(ban.pattern, line) and name != "tests/test_tidy.py"
    ]
    assert found == [], f"write instead: {ban.instead}"


@pytest.mark.parametrize(
    ("line", "banned"),
    [
        ("now = time.time()", True),
        ("now = clock.time()", False),
        ("except Exception:  # noqa: BLE001", True),
        ("except Exception:  # noqa: BLE001 - the child must answer", False),
        ("open('/tmp/x')", True),
        ("framework/tmp/x and {home}/root/y", False),
        ("PATH=/" + "work/" + "x", True),
        ("--no-emit-index-url", False),
        ("--index-" + "url https://example.org", True),
        ("  # TODO later", True),
        ("monkeypatch.setattr('runner.store.now', 1)", True),
        ("monkeypatch.setattr(sys, 'argv', [])", False),
    ],
)
def test_bans_catch_what_they_mean(line: str, banned: bool) -> None:
    """Goal: the patterns work. Method: a line for and a line against each that is easy to break."""
    assert any(re.search(ban.pattern, line) for ban in BANS) is banned


def test_long_functions_are_measured() -> None:
    """Goal: the measure counts from def to the last line. Method: a function of four lines."""
    source = "@x\ndef short(): pass\n@x\nasync def long(\n    a,\n):\n    pass\n"
    assert long_functions(source, 3) == [("long", 4)]
    assert long_functions(source, 4) == []


# -- the lock ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Locked:
    """One entry of the lock: an exact requirement and its hashes."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "=="
        return specifier.version


def read_lock(text: str) -> list[Locked]:
    entries = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            entries.append(Locked(Requirement(requirement.strip()), tuple(hashes)))
    return entries


def declared() -> list[Requirement]:
    """Return what pyproject.toml asks for: the package, its extra, the developers' tools."""
    tables = tomllib.loads(text_of("pyproject.toml"))
    listed = [
        *tables["project"]["dependencies"],
        *tables["project"]["optional-dependencies"]["sandbox"],
        *tables["dependency-groups"]["dev"],
    ]
    return [Requirement(item) for item in listed]


def test_lock_is_in_step_with_pyproject() -> None:
    """Goal: the lock is of this pyproject. Method: each declared range holds the locked version."""
    locked: dict[str, list[str]] = {}
    for entry in read_lock(text_of("requirements.lock")):
        locked.setdefault(entry.name, []).append(entry.version)
    wrong = {
        str(wanted): locked.get(canonicalize_name(wanted.name))
        for wanted in declared()
        if not all(map(wanted.specifier.contains, locked.get(canonicalize_name(wanted.name), [""])))
    }
    assert wrong == {}, "run `make lock`"


def test_lock_holds_the_constraints() -> None:
    """Goal: what was tried is what is locked. Method: compare with constraints.txt."""
    locked = {entry.name: entry.version for entry in read_lock(text_of("requirements.lock"))}
    for line in text_of("constraints.txt").splitlines():
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), line


def test_every_locked_file_is_hashed_and_names_no_address() -> None:
    """Goal: pip takes exactly these files, from wherever it is set to. Method: read each entry."""
    entries = read_lock(text_of("requirements.lock"))
    assert [entry.name for entry in entries if not entry.hashes or entry.requirement.url] == []
    hashes = [text for entry in entries for text in entry.hashes]
    assert [text for text in hashes if not re.fullmatch(r"sha256:[0-9a-f]{64}", text)] == []
    assert "://" not in text_of("requirements.lock")


def test_lock_reader_reads() -> None:
    """Goal: the reader sees version, marker and hashes. Method: an entry of two hashes."""
    (entry,) = read_lock(
        "A.b==1.2 ; python_full_version >= '3.12' \\\n    --hash=x \\\n --hash=y\n"
    )
    assert (entry.name, entry.version, entry.hashes) == ("a-b", "1.2", ("x", "y"))
    assert entry.requirement.marker is not None
