"""What stands after ``--`` on the command line: kept, shown, refused where it fights the plan."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from conftest import ROOT

from runner.cli import main
from runner.cli.onward import LocustCommand
from runner.cli.run import command_line

EXPERIMENTS = str(ROOT / "experiments")


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(argv))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize("command", [["plan"], ["run", "--dry-run"]])
def test_arguments_become_part_of_the_plan(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    words = ["--tags", "a b", "-E", "slow", "MyUser", "--my-option", "3"]
    given = ["normal", "--experiments", EXPERIMENTS, "-o", "json", "--", *words]
    code, out, _ = call(capsys, *command, *given)
    assert code == 0
    assert json.loads(out)["generator"]["arguments"] == words


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--tags", "'--tags': it is Locust's, and stands after '--', as in '-- --tags …'."),
        ("-u", "'-u': users: the experiment's stages say it."),
        ("--worker", "Did you mean one of: '--expect-workers', '--workers'?"),
    ],
)
def test_an_option_of_locust_before_the_dashes_is_shown_its_place(
    capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    """Goal: nobody is sent to another option. Method: two of Locust's, and a slip of our own."""
    code, _, err = call(capsys, "run", "normal", "--experiments", EXPERIMENTS, option, "x")
    assert code == 2
    assert said in err


def test_the_plan_shows_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(
        capsys, "plan", "normal", "--experiments", EXPERIMENTS, "--", "-T", "a b", "MyUser"
    )
    assert code == 0
    assert "Given to Locust: -T 'a b' MyUser\n" in out
    _, without, _ = call(capsys, "plan", "normal", "--experiments", EXPERIMENTS)
    assert "Given to Locust" not in without


def test_a_run_with_users_of_its_own_is_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    given = ["normal", "--experiments", EXPERIMENTS, "--results", str(results)]
    code, out, err = call(capsys, "run", *given, "--", "-u", "5")
    assert (code, out) == (2, "")
    assert "-u: users: the experiment's stages say it" in err
    assert not results.exists()


def test_a_word_too_many_before_the_dashes_is_a_mistake(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = call(capsys, "plan", "normal", "MyUser", "--", "--tags", "a")
    assert code == 2
    assert "unexpected extra argument (MyUser)" in err


def test_the_command_to_repeat_a_run_has_them() -> None:
    """Goal: what is on record repeats the run. Method: a command of the kind, parsed."""
    command = LocustCommand("sail", params=[click.Argument(["name"])])
    context = command.make_context("sail", ["x", "--", "--tags", "a b"])
    assert command_line(context)[-4:] == ("x", "--", "--tags", "a b")
    assert command_line(command.make_context("sail", ["x", "--"]))[-1] == "x"
