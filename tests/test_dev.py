"""The bootstrap behind ``make``: its pure parts, and what it does to a folder of its own."""

from __future__ import annotations

import ast
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))

import bootstrap
import dev

PYPROJECT = '[project]\nname = "x"\n[tool.ruff]\nline-length = 1\n'
SUITE = (
    '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}" time="{}"/>'
    "</testsuites>"
)


def stamp(
    lock: str = "a==1", pyproject: str = PYPROJECT, python: str = "3.11", root: str = "here"
) -> dict[str, str]:
    return bootstrap.stamp_of(lock, pyproject, python, Path(root))


def test_stamp_follows_the_lock_and_the_metadata_but_not_the_linters() -> None:
    """Goal: a setup is repeated only when it would change something. Method: vary each input."""
    assert stamp() == stamp(pyproject=PYPROJECT.replace("1", "2"))
    assert stamp()["content"] != stamp(lock="a==2")["content"]
    assert stamp()["content"] != stamp(pyproject=PYPROJECT.replace('"x"', '"y"'))["content"]
    assert stamp()["base"] == stamp(lock="a==2")["base"]
    assert len({stamp(python=python)["base"] for python in ("3.11", "3.12")}) == 2
    assert stamp()["base"] != stamp(root="there")["base"]


def test_an_unfinished_setup_is_never_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: after a crash all is made anew. Method: a whole environment beside the crash's mark."""
    place(tmp_path, monkeypatch)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    wanted = {"base": "b", "content": "c"}
    bootstrap.STAMP.write_text(json.dumps(wanted))
    assert bootstrap.found_stamp() == wanted
    assert not bootstrap.must_rebuild(wanted, {"base": "b", "content": "new"})
    assert bootstrap.must_rebuild(wanted, {"base": "new", "content": "c"})
    bootstrap.UNFINISHED.touch()
    assert bootstrap.found_stamp() is None
    assert bootstrap.must_rebuild(wanted, wanted)


def test_an_environment_without_interpreter_is_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a removed Python is noticed. Method: a stamp beside a link that leads nowhere."""
    place(tmp_path, monkeypatch)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    bootstrap.STAMP.write_text('{"base": "b", "content": "c"}')
    assert bootstrap.found_stamp() is None
    assert bootstrap.must_rebuild(None, {"base": "b", "content": "c"})


def test_a_torn_stamp_is_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: half a stamp proves nothing. Method: cut one."""
    place(tmp_path, monkeypatch)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    bootstrap.STAMP.write_text('{"base": "b", "con')
    assert bootstrap.found_stamp() is None


def test_discard_also_removes_what_an_interrupted_discard_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: nothing piles up, and a linked folder stays. Method: a leftover and a link."""
    place(tmp_path, monkeypatch)
    (bootstrap.TOOLS / "old-.venv-1").mkdir()
    (tmp_path / "elsewhere").mkdir()
    bootstrap.VENV.symlink_to(tmp_path / "elsewhere")
    bootstrap.discard(bootstrap.VENV)
    assert list(bootstrap.TOOLS.iterdir()) == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".tools", "elsewhere"]


def test_only_one_setup_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: the second one waits, but not for ever. Method: two locks in a row, no patience."""
    file = tmp_path / "new" / "setup.lock"
    with (
        bootstrap.only_one_setup(file),
        pytest.raises(bootstrap.Stop, match="another setup has held"),
        bootstrap.only_one_setup(file, timeout_s=-1),
    ):
        pass
    with bootstrap.only_one_setup(file, timeout_s=-1):
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo 'prometheus, version 2.42.0+ds (branch: x)'", "2.42.0+ds"),
        ("echo 'prometheus, version 3.1.0 (branch: x)' >&2", "3.1.0"),
        ("echo 'prometheus, version 2.42.0'; exit 1", None),
        ("echo 'a game, version 2'", None),
    ],
)
def test_prometheus_is_what_says_so(tmp_path: Path, script: str, version: str | None) -> None:
    """Goal: only a Prometheus that runs counts. Method: scripts in its place, and nothing."""
    program = tmp_path / "prometheus"
    assert bootstrap.prometheus_version(program) is None
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    assert bootstrap.prometheus_version(program) == version


def test_children_find_this_checkouts_programs_first() -> None:
    """Goal: no program of the machine shadows ours. Method: PATH of a made-up environment."""
    found = dev.child_environment({"PATH": "/bin", "A": "1"}, Path("/x"))
    assert found == {
        "PATH": "/x/.venv/bin:/x/.tools/prometheus/usr/bin:/bin",
        "VIRTUAL_ENV": "/x/.venv",
        "A": "1",
    }


def test_closing_line_adds_up_both_steps() -> None:
    """Goal: one line for the whole run. Method: two reports with every sort of result."""
    line = dev.closing_line([SUITE.format(10, 1, 2, 3, 1.5), SUITE.format(5, 0, 0, 1, 2)])
    assert line.strip("= ") == "1 failed, 8 passed, 4 skipped, 2 errors in 3.50s"
    assert dev.closing_line([]).strip("= ") == "no tests ran in 0.00s"


@pytest.mark.parametrize(
    ("codes", "chosen", "code"),
    [
        ((0, 0), False, 0),
        ((0, 1), False, 1),
        ((1, 0), False, 1),
        ((0, 5), False, 1),
        ((0, 5), True, 0),
        ((5, 5), True, 1),
        ((2, 0), True, 1),
    ],
)
def test_one_bad_step_fails_the_tests(codes: tuple[int, int], chosen: bool, code: int) -> None:
    """Goal: no test found is no pass, unless tests were chosen by hand. Method: a table."""
    assert dev.tests_verdict(codes, chosen=chosen) == code


def test_make_offers_every_command_and_help_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: make and dev.py are one door. Method: compare the Makefile, the table and the help."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (targets,) = re.findall(r"^COMMANDS := (.*)$", makefile, re.MULTILINE)
    assert {*targets.split(), "help"} == set(dev.COMMANDS)
    assert dev.main([]) == 0
    shown = re.findall(r"^  ([\w-]+) ", capsys.readouterr().out, re.MULTILINE)
    assert shown == list(dev.COMMANDS)


@pytest.mark.parametrize("name", ["dev.py", "bootstrap.py"])
def test_an_old_python_gets_a_message_not_a_syntax_error(name: str) -> None:
    """Goal: Python 3.8 can read the bootstrap, to refuse. Method: its grammar, its modules."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))
    roots = {
        alias.name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not roots - {*sys.stdlib_module_names}
    assert "tomllib" not in roots


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: exit code 2 and the list. Method: a command that is none."""
    assert dev.main(["tset"]) == 2
    assert "no command 'tset'; there are: setup, demo, test," in capsys.readouterr().err


@pytest.mark.parametrize("name", list(dev.COMMANDS))
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_asking_for_help_does_nothing_else(
    name: str, flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: `clean --help` cleans nothing. Method: every command in the place of one that fails."""
    text = dev.COMMANDS[name][1]
    monkeypatch.setitem(dev.COMMANDS, name, (lambda _: 99, text))
    assert dev.main([name, flag]) == 0
    assert capsys.readouterr().out == f"{name}: {text}\n"


TAKERS = {"demo", "test", "check", "bench", "bench-survival", "golden", "lock"}


@pytest.mark.parametrize("name", sorted(dev.COMMANDS.keys() - TAKERS))
def test_an_unknown_argument_is_a_usage_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: 2, and nothing is done. Method: an argument that no command knows."""
    place(tmp_path, monkeypatch)
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "build").mkdir()
    assert dev.main([name, "--al"]) == 2
    accepted = "--all" if name == "clean" else "no argument"
    assert capsys.readouterr().err == f"dev.py: unknown: --al; accepted: {accepted}\n"
    assert (tmp_path / "build").exists()


def test_the_demo_disturbs_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a sandbox that is up stays free. Method: look at the command; a flag may overrule."""
    ran: list[tuple[str, ...]] = []

    def run(*argv: str, **_: bool) -> int:
        ran.append(argv)
        return 0

    monkeypatch.setattr(dev, "setup", lambda **_: None)
    monkeypatch.setattr(dev, "run", run)
    assert dev.demo(["--sandbox-name", "mine"]) == 0
    (argv,) = ran
    assert argv[1:4] == ("run", "first-voyage", "--sandbox-name")
    assert argv[4].startswith("demo-")
    assert argv[5:] == ("--sandbox-name", "mine")


def test_benchmarks_go_by_name_and_one_takes_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: options reach their benchmark and no other. Method: two files, and what would run."""
    ran: list[tuple[str, ...]] = []

    def run(_python: Path, file: Path, *options: str) -> int:
        ran.append((file.name, *options))
        return 0

    (tmp_path / "benchmarks").mkdir()
    for name in ("bench_one_more.py", "bench_two.py", "shared.py"):
        (tmp_path / "benchmarks" / name).touch()
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "setup", lambda **_: None)
    monkeypatch.setattr(dev, "run", run)
    assert dev.main(["bench"]) == 0
    assert dev.main(["bench", "two", "one-more"]) == 0
    assert dev.main(["bench", "one-more", "--pairs", "3", "-v"]) == 0
    assert dev.main(["bench", "three"]) == 2
    assert dev.main(["bench", "--pairs", "3"]) == 2
    assert dev.main(["bench", "one-more", "two", "--pairs", "3"]) == 2
    files = [("bench_one_more.py",), ("bench_two.py",)]
    assert ran == [*files, *files[::-1], ("bench_one_more.py", "--pairs", "3", "-v")]
    said = capsys.readouterr().err.splitlines()
    assert "no benchmark 'three'" in said[0]
    assert said[1] == said[2]
    assert said[1].endswith(
        "options go to one benchmark: bench [NAME …], or bench NAME OPTION …; names: one-more, two"
    )


@pytest.mark.parametrize(
    ("number", "option", "code"),
    [
        (signal.SIGINT, "answers_signals=True", 5),
        (signal.SIGTERM, "answers_signals=True", 5),
        (signal.SIGINT, "", 130),
        (signal.SIGTERM, "", 143),
    ],
)
def test_a_child_that_heals_is_waited_for(
    tmp_path: Path, number: signal.Signals, option: str, code: int
) -> None:
    """Goal: make demo never cuts a healing short. Method: signal both; the child takes its time.

    A process group of its own stands for the terminal, which sends Ctrl-C to all of its group.
    SIGTERM goes to the parent only. Then the parent ends as well, so that no further step starts,
    unless the child's exit code is the answer.
    """
    child = tmp_path / "child.py"
    child.write_text(
        "import os, signal, sys, threading\n"
        "def heal(*_):\n"
        "    threading.Event().wait(0.3)\n"
        "    print('healed', flush=True)\n"
        "    sys.exit(5)\n"
        f"signal.signal({number}, heal)\n"
        f"if {number} == signal.SIGINT:\n"
        "    os.killpg(os.getpgid(0), signal.SIGINT)\n"
        "else:\n"
        "    os.kill(os.getppid(), signal.SIGTERM)\n"
        "signal.pause()\n"
    )
    program = f"import dev, sys; sys.exit(dev.run(sys.executable, {str(child)!r}, {option}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("healed\n", code), done.stderr


def place(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bootstrap work in ``root``: it has no port, the folder of the file is its world."""
    (root / ".tools").mkdir()
    for name in ("VENV", "TOOLS", "STAMP", "UNFINISHED", "LOG"):
        path = getattr(bootstrap, name)
        monkeypatch.setattr(bootstrap, name, root / path.relative_to(bootstrap.ROOT))
