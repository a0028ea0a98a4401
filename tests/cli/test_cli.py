"""The command line in process: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import jsonschema
import pytest
from conftest import Golden
from ruamel.yaml import YAML

from runner.cli import main
from runner.cli.app import _COMMANDS, cli

Run = Callable[..., tuple[int, str, str]]
COMMANDS = [*_COMMANDS, *(f"sandbox {name}" for name in ("up", "status", "down", "logs"))]

GOOD = """\
name: good
description: A question.
load: {locustfile: shop.py, stages: [{duration: 2m, users: 100}]}
faults:
  - {kind: http-abort, service: payment-api, at: 30s, duration: 30s, status: 503}
objectives: [errors < 1%]
"""
EXPERIMENTS = {"good": GOOD}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_as_agreed_and_shows_an_example(run: Run, golden: Golden, command: str) -> None:
    code, out, _ = run(*command.split(), "--help")
    assert code == 0
    assert "Example:\n" in out
    assert "seatrial " in out.split("Example:")[1]
    golden(f"cli/help-{command.replace(' ', '-') or 'seatrial'}.txt", out)


def test_the_lines_of_the_overview_are_the_commands_own() -> None:
    """Goal: help imports no command, yet does not lie. Method: compare both texts' beginnings."""
    for name, (_, line) in _COMMANDS.items():
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert (command.help or "").replace("\n", " ").startswith(line.rstrip(".")), name


def test_list_gives_names_and_lengths_as_json(run: Run, folder: Path) -> None:
    code, out, _ = run("list", "-o", "json")
    (entry,) = json.loads(out)
    assert code == 0
    assert (entry["name"], entry["duration_s"], entry["users_max"]) == ("good", 120, 100)
    assert entry["faults"] == ["http-abort payment-api"]


def test_list_shows_a_broken_file_beside_the_others(run: Run, folder: Path) -> None:
    (folder / "experiments" / "bad.yaml").write_text("name: bad\n")
    code, out, _ = run("list", "-o", "json")
    bad, good = json.loads(out)
    assert code == 0
    assert "lacks the key" in bad["error"]
    assert good["name"] == "good"


def test_validate_says_valid_and_exits_with_0(run: Run, folder: Path) -> None:
    code, out, _ = run("validate")
    assert (code, out) == (0, "experiments/good.yaml: valid\n")


def test_validate_answers_a_mistake_with_2_on_standard_error(run: Run, folder: Path) -> None:
    (folder / "experiments" / "good.yaml").write_text(GOOD.replace("users", "usres"))
    code, out, err = run("validate", "good")
    assert code == 2
    assert out == ""
    assert "good.yaml:3:53: unknown key 'usres'" in err
    assert "did you mean 'users'?" in err


def test_validate_as_json_names_every_file(run: Run, folder: Path) -> None:
    (folder / "experiments" / "bad.yaml").write_text("name: bad\n")
    code, out, err = run("validate", "-o", "json")
    assert code == 2
    bad, good = json.loads(out)
    assert (bad["path"], bad["valid"]) == ("experiments/bad.yaml", False)
    assert good == {"path": "experiments/good.yaml", "valid": True, "mistakes": [], "warnings": []}
    assert [(m["line"], m["column"]) for m in bad["mistakes"]] == [(1, 1)] * 3
    assert bad["mistakes"][0]["message"].startswith("the file lacks the key 'description'")
    assert set(bad) == set(good)
    assert err == ""


def test_validate_warns_of_what_cannot_be_answered(run: Run, folder: Path) -> None:
    """Goal: warnings are talk, not failure. Method: a guard that holds longer than the load."""
    doubtful = GOOD + "guards:\n  - {abort_when: errors > 9%, for: 3m}\n"
    (folder / "experiments" / "good.yaml").write_text(doubtful)
    code, out, err = run("validate", "good")
    assert (code, out) == (0, "experiments/good.yaml: valid\n")
    assert err.startswith("warning: experiments/good.yaml:8:5: this guard can never act")
    ((warning,),) = [one["warnings"] for one in json.loads(run("validate", "-o", "json")[1])]
    assert (warning["line"], warning["column"]) == (8, 5)


@pytest.mark.parametrize("command", [("plan", "good"), ("run", "good", "--dry-run")])
def test_a_plan_warns_of_what_a_time_scale_makes_short(
    run: Run, folder: Path, command: tuple[str, ...]
) -> None:
    """Goal: a rehearsal that proves nothing is told. Method: 30 s of fault at 1/10."""
    code, out, err = run(*command, "--time-scale", "0.1")
    assert code == 0
    assert "Phases" in out
    assert err.startswith("warning: experiments/good.yaml:5:50: fault 01-http-abort lasts 3s")
    assert run(*command)[2] == ""
    warnings = json.loads(run(*command, "--time-scale", "0.1", "-o", "json")[1])["warnings"]
    assert [(one["line"], one["column"]) for one in warnings] == [(5, 50)]


def test_validating_nothing_is_not_a_success(run: Run, folder: Path) -> None:
    (folder / "experiments" / "good.yaml").unlink()
    assert run("validate")[0] == 2


@pytest.mark.parametrize("command", ["plan", "run", "validate"])
def test_an_unknown_experiment_is_2_with_a_guess(run: Run, folder: Path, command: str) -> None:
    code, _, err = run(command, "goood")
    assert code == 2
    assert "there is no experiment 'goood' in experiments/; did you mean 'good'?" in err


@pytest.mark.parametrize("argv", [("list",), ("validate",)])
def test_outside_of_a_checkout_the_folder_is_named(
    run: Run, folder: Path, argv: tuple[str, ...]
) -> None:
    """Goal: the reader knows where was looked. Method: a folder that is not there, by default."""
    (folder / "elsewhere").mkdir()
    (folder / "experiments").rename(folder / "elsewhere" / "tests")
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert f"there is no experiments folder {folder}/experiments\n" in err
    assert f"hint: experiments are looked for in {folder}/experiments; " in err
    assert "name another folder with --experiments" in err
    assert run(*argv, "--experiments", "elsewhere/tests")[0] == 0


@pytest.mark.parametrize("name", ["goood", "goood.yaml"])
def test_an_experiment_that_is_not_found_says_where_it_was_looked_for(
    run: Run, folder: Path, name: str
) -> None:
    _, _, err = run("plan", name)
    assert f"hint: experiments are looked for in {folder}/experiments; " in err


def test_a_plan_touches_nothing_and_shows_everything(run: Run, folder: Path) -> None:
    code, out, _ = run("plan", "good", "--time-scale", "0.5")
    assert code == 0
    assert "REHEARSAL: every duration is multiplied by 0.5." in out
    assert "answer all requests to payment-api with HTTP 503" in out
    assert not (folder / "results").exists()


def test_a_plan_shows_which_objectives_are_judged_where(run: Run, folder: Path) -> None:
    """Goal: single faults, relative ones and windows. Method: the lines of the places' tables."""
    objectives = (
        '["latency.p99 <= baseline + 10%", {objective: errors < 2%, during: "fault:payment-api"},'
        ' {objective: errors < 3%, during: ["stage:1", 40s..50s]}]'
    )
    text = GOOD.replace("[errors < 1%]", objectives).replace("name: good", "name: placed")
    (folder / "experiments" / "placed.yaml").write_text(text)
    code, out, _ = run("plan", "placed")
    assert code == 0
    lines = [line.split() for line in out.partition("Phases")[2].splitlines()]
    shown = {line[0]: line for line in lines if line}
    assert shown["baseline"][-1] == "–"
    assert shown["errors"] == ["errors", "<", "2%"]  # The second one in the fault.
    assert shown["recovery"][-5:] == ["latency.p99", "<=", "baseline", "+", "10%"]
    assert shown["40s..50s"][-3:] == ["errors", "<", "3%"]
    assert shown["stage"][-3:] == ["errors", "<", "3%"]


def test_a_plan_as_json_is_the_plan(run: Run, folder: Path) -> None:
    code, out, _ = run("plan", "good", "-o", "json")
    plan = json.loads(out)
    assert code == 0
    assert [p["name"] for p in plan["phases"]] == ["baseline", "fault", "recovery"]
    assert plan["faults"][0]["undo_by_s"] == 75


def test_the_plan_of_the_demo_is_as_agreed(run: Run, golden: Golden) -> None:
    code, out, _ = run("plan", "first-voyage")
    assert code == 0
    golden("cli/plan-first-voyage.txt", out)


@pytest.mark.parametrize("scale", ["0", "-1", "1.5", "half"])
def test_an_impossible_time_scale_is_2(run: Run, folder: Path, scale: str) -> None:
    assert run("plan", "good", "--time-scale", scale)[0] == 2


@pytest.mark.parametrize(
    ("argv", "verbose"),
    [
        (["-v", "list"], 1),
        (["list", "-vv"], 2),
        (["sandbox", "status", "--verbose", "-v"], 2),
        (["validate", "--", "-v"], 0),
        (["list"], 0),
    ],
)
def test_verbose_is_taken_before_and_after_the_command(argv: list[str], verbose: int) -> None:
    assert cli.make_context("seatrial", argv).params["verbose"] == verbose


def test_a_sandbox_that_is_down_has_a_state(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: scripts get JSON. Method: a home without sandboxes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    code, out, err = run("sandbox", "status", "--name", "nowhere", "-o", "json")
    assert (code, json.loads(out), err) == (3, {"name": "nowhere", "state": "down"}, "")


def test_an_unknown_command_is_2_with_a_guess(run: Run) -> None:
    code, _, err = run("validat")
    assert code == 2
    assert "Did you mean 'validate'?" in err


def test_an_unknown_target_is_2_and_lists_the_known_ones(run: Run, folder: Path) -> None:
    (folder / "seatrial.yaml").write_text(
        "targets: {staging: {context: c, namespace: n, ingress: http://i, prometheus: http://p}}\n"
    )
    code, _, err = run("run", "good", "--target", "stagin")
    assert code == 2
    assert "did you mean 'staging'?" in err
    assert "accepted: sandbox, staging" in err


def test_judging_a_run_that_is_not_there_is_2(run: Run, folder: Path) -> None:
    code, _, err = run("evaluate", "latest")
    assert code == 2
    assert "newest: none yet" in err


def test_heal_asks_what(run: Run, folder: Path) -> None:
    code, _, err = run("heal")
    assert code == 2
    assert "accepted: one of: a RUN, --all, --expired" in err


@pytest.mark.parametrize(
    "kind", ["experiment", "config", "objectives", "evaluation", "report", "comparison"]
)
def test_the_committed_schema_is_the_models(run: Run, kind: str) -> None:
    """Goal: no drift. Method: the command's output equals the file in docs/."""
    code, out, _ = run("schema", kind)
    assert code == 0
    committed = Path(__file__).parents[2] / "docs" / f"{kind}.schema.json"
    assert committed.read_text() == out, f"run: seatrial schema {kind} > docs/{kind}.schema.json"


def test_a_bug_says_so_and_is_70(capsys: pytest.CaptureFixture[str]) -> None:
    """Goal: no traceback. Method: a command that cannot work."""

    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("oops")

    with pytest.raises(SystemExit) as ended:
        main([], broken)
    err = capsys.readouterr().err
    assert ended.value.code == 70
    assert "bug: ZeroDivisionError: oops" in err
    assert "Traceback" not in err


def test_every_shipped_experiment_satisfies_the_schema(run: Run) -> None:
    """Goal: editors and seatrial agree. Method: a JSON Schema validator over experiments/."""
    schema = json.loads(run("schema")[1])
    assert schema["$defs"]["Guard"]["properties"]["for"]["default"] == "10s"
    paths = sorted(Path("experiments").glob("*.yaml"))
    faults = {"order-pod-kill", "payment-delay", "payment-abort"}
    assert {p.stem for p in paths} >= {"normal", "stress", "spike", "soak"} | faults
    validator = jsonschema.Draft202012Validator(schema)
    for path in paths:
        assert list(validator.iter_errors(YAML(typ="safe").load(path.read_text()))) == [], path
    wrong = {"name": "x", "description": "d", "load": {"locustfile": "x", "stages": []}}
    assert list(validator.iter_errors(wrong)) != []


@pytest.mark.parametrize("path", sorted(Path("experiments").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_experiment_is_valid_and_named_for_editors(run: Run, path: Path) -> None:
    assert run("validate", str(path))[0] == 0
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../docs/experiment.schema.json"


def test_doctor_looks_at_a_cluster_that_no_file_names(run: Run, tmp_path: Path) -> None:
    """Goal: the same flags as of run. Method: too few of them; then all, with a kubeconfig that is
    not there."""
    flags = ["--context", "eu-9", "--kubeconfig", str(tmp_path / "gone"), "-n", "shop"]
    code, _, err = run("doctor", *flags)
    assert code == 2
    assert "missing --ingress, --prometheus" in err
    urls = ["--ingress", "http://127.0.0.1:9", "--prometheus", "http://127.0.0.1:9"]
    code, out, _ = run("doctor", *flags, *urls, "-o", "json")
    assert code == 3
    assert any("gone" in row["found"] for row in json.loads(out) if row["state"] == "missing")
