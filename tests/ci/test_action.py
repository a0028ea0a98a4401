"""The action of GitHub Actions: its scripts, run by bash with a seatrial that notes its words."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from runner.cli.app import cli

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}
SCRIPTS = {name: step for name, step in STEPS.items() if "run" in step}

FAKE = """\
#!/bin/bash
printf '%s\\n' "$#" "$@" > "$NOTED"
echo "verdict=fail" >> "$GITHUB_OUTPUT"
exit "${FAKE_CODE:-0}"
"""
EVIL = "x\"; touch pwned; $(touch pwned) `touch pwned` '; touch pwned #"


class Job:
    """A step's shell, as a runner starts it: no expression left, everything by the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        for name in ("seatrial", "python"):
            self.fake(name, FAKE)
        self.env = {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "NOTED": str(folder / "noted"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_ACTION_PATH": str(ROOT),
        }

    def fake(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def popen(self, step: str, **inputs: str) -> subprocess.Popen[str]:
        env = dict.fromkeys(STEPS[step]["env"], "") | self.env | inputs
        return subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", STEPS[step]["run"]],
            cwd=self.folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, step: str, **inputs: str) -> tuple[int, str]:
        with self.popen(step, **inputs) as shell:
            out, _ = shell.communicate(timeout=60)
        return shell.returncode, out

    @property
    def words(self) -> list[str]:
        return (self.folder / "noted").read_text().splitlines()[1:]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_input_is_text_of_a_script(name: str) -> None:
    """Goal: no injection. Method: no expression in a script; each variable of ours in ``env``."""
    step = SCRIPTS[name]
    assert "${{" not in step["run"]
    assert step["shell"] == "bash"
    checked = subprocess.run(["bash", "-n"], input=step["run"], text=True, check=False)
    assert checked.returncode == 0
    for value in step["env"].values():
        assert re.fullmatch(r"\$\{\{ (inputs|steps\.run\.outputs)\.[a-z-]+ \}\}", value)


def test_every_input_is_used_and_every_output_comes_from_a_step() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    for name, known in ACTION["inputs"].items():
        assert re.search(rf"\$\{{\{{ .*inputs\.{name}\b", text), name
        assert known["description"]
        assert known.get("required") or "default" in known
    ids = {step.get("id") for step in STEPS.values()}
    for known in ACTION["outputs"].values():
        assert re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.[a-z-]+ \}\}", known["value"])
        assert known["value"].split(".")[1] in ids


def test_others_actions_are_pinned() -> None:
    used = [step["uses"] for step in STEPS.values() if "uses" in step]
    assert len(used) == 2
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)


def test_inputs_are_words_whatever_they_say(job: Job) -> None:
    """Goal: a word stays a word. Method: what a shell would take apart or carry out."""
    inputs = {"EXPERIMENT": EVIL, "TARGET": EVIL, "TIME_SCALE": "0.1", "RESULTS": "a b"}
    args = f"--experiments\n{EVIL}\n\n  *\r\n--\n--tags\ncheckout"
    assert job.run("Run the experiment", ARGS=args, **inputs) == (0, "")
    assert job.words == [
        *("run", EVIL, "--ci", "github", "--results=a b"),
        *(f"--target={EVIL}", "--time-scale=0.1"),
        *("--experiments", EVIL, "  *", "--", "--tags", "checkout"),
    ]
    assert not (job.folder / "pwned").exists()


def test_the_words_are_options_that_there_are() -> None:
    """Goal: action and command agree. Method: the options of the script at ``seatrial run``."""
    command = cli.get_command(None, "run")  # type: ignore[arg-type]
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    found = re.findall(r"(?<=[\s(\"])(--[a-z-]+)\b", SCRIPTS["Run the experiment"]["run"])
    assert sorted(found) == ["--ci", "--results", "--target", "--time-scale"]
    assert set(found) <= known


@pytest.mark.parametrize("experiment", ["", "--config=x"])
def test_an_experiment_is_no_option(job: Job, experiment: str) -> None:
    code, out = job.run("Run the experiment", EXPERIMENT=experiment, RESULTS="results")
    assert code == 2
    assert out.startswith("::error title=seatrial::The input 'experiment'")
    assert not (job.folder / "noted").exists()


def test_the_code_is_an_output_and_no_failure_yet(job: Job) -> None:
    """Goal: what was recorded is kept, whatever the verdict. Method: a run that fails."""
    result = job.run("Run the experiment", EXPERIMENT="x", RESULTS="results", FAKE_CODE="1")
    assert result == (0, "")
    assert (job.folder / "output").read_text() == "verdict=fail\nexit-code=1\n"


def test_a_job_that_is_cancelled_heals(job: Job) -> None:
    """Goal: a cancelled job leaves nothing. Method: SIGINT to the shell, as the runner sends it."""
    job.fake(
        "seatrial",
        '#!/bin/bash\ntrap "sleep 0.1; exit 143" TERM\ntouch up\nwhile :; do sleep 0.02; done\n',
    )
    with job.popen("Run the experiment", EXPERIMENT="x", RESULTS="results") as shell:
        deadline_s = time.monotonic() + 30
        while not (job.folder / "up").exists() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        shell.send_signal(signal.SIGINT)
        shell.communicate(timeout=30)
    assert (job.folder / "output").read_text() == "exit-code=143\n"


@pytest.mark.parametrize(
    ("code", "fail_on", "ends"),
    [
        ("0", "inconclusive", 0),
        ("1", "inconclusive", 1),
        ("3", "inconclusive", 3),
        ("3", "fail", 0),
        ("1", "fail", 1),
        ("4", "fail", 4),
        ("5", "fail", 5),
        ("", "fail", 1),
        ("0", "never", 2),
    ],
)
def test_the_job_fails_as_it_was_asked_to(job: Job, code: str, fail_on: str, ends: int) -> None:
    assert job.run("Verdict", CODE=code, FAIL_ON=fail_on)[0] == ends


@pytest.mark.parametrize(
    ("install", "extras", "what"),
    [
        ("", "sandbox", f"{ROOT}[sandbox]"),
        ("0.1.0", "", "seatrial==0.1.0"),
        ("0.1.0", "sandbox,notify", "seatrial[sandbox,notify]==0.1.0"),
        ("./bin", "", "{folder}/bin"),
    ],
)
def test_what_is_installed(job: Job, install: str, extras: str, what: str) -> None:
    assert job.run("Install seatrial", INSTALL=install, EXTRAS=extras) == (0, "")
    assert job.words[:3] == ["-m", "pip", "install"]
    assert job.words[-3] == "--constraint"
    assert job.words[-1] == what.format(folder=job.folder)
    versions = Path(job.words[-2]).read_text().splitlines()
    Path(job.words[-2]).unlink()
    assert any(line.startswith("locust==") for line in versions) is (not install)
    assert all(re.match(r"[A-Za-z0-9._-]+==\d", line) for line in versions)


@pytest.mark.parametrize(
    "install", ["-rmore.txt", "nowhere", "1.0 --pre", "https://example.org/x.zip"]
)
def test_nothing_else_can_be_installed(job: Job, install: str) -> None:
    code, out = job.run("Install seatrial", INSTALL=install, EXTRAS="sandbox")
    assert code == 2
    assert "'install' is neither a version nor a path" in out
    assert job.run("Install seatrial", INSTALL="", EXTRAS="a];x")[0] == 2
    assert not (job.folder / "noted").exists()
