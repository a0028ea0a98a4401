"""Chaos Toolkit experiments as experiment files: what is carried over, told, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from called import folder, run  # noqa: F401 - fixtures

from runner.chaos.documents import place_of, read_document
from runner.chaos.importing import NotImportableError, Wishes, imported, slug
from runner.chaos.importtext import length_of
from runner.model.fault import ChaosToolkit
from runner.source import load_experiment

Run = Callable[..., tuple[int, str, str]]

EXPERIMENTS: dict[str, str] = {}

KILL = {
    "type": "action",
    "name": "kill the backend",
    "provider": {
        "type": "python",
        "module": "chaosk8s.pod.actions",
        "func": "terminate_pods",
        "arguments": {"label_selector": "app=backend", "rand": True, "qty": 1},
    },
    "pauses": {"after": 20},
}
ANSWERS = {
    "type": "probe",
    "name": "the front page answers",
    "tolerance": [200, 301],
    "provider": {"type": "http", "url": "http://${host}/", "timeout": [1, 2]},
}
DRILL: dict[str, Any] = {
    "version": "1.0.0",
    "title": "Backend: what if it goes?",
    "description": "Users should\nnot notice.",
    "tags": ["k8s"],
    "configuration": {"host": {"type": "env", "key": "HOST_NAME"}, "yes": "off"},
    "secrets": {"site": {"token": "s3cret-in-the-file", "other": {"type": "env", "key": "OTHER"}}},
    "steady-state-hypothesis": {"title": "It answers", "probes": [ANSWERS]},
    "method": [KILL, {"ref": "the front page answers"}],
    "rollbacks": [],
    "controls": [{"name": "tracing", "provider": {"type": "python", "module": "chaostracing"}}],
    "runtime": {"rollbacks": {"strategy": "deviated"}, "hypothesis": {"strategy": "continuously"}},
}


def fault_of(text: str, tmp_path: Path, name: str) -> ChaosToolkit:
    """The one fault of a written experiment, as ``seatrial validate`` sees it."""
    (tmp_path / "locustfiles").mkdir(exist_ok=True)
    (tmp_path / "locustfiles" / "shop.py").touch()
    path = tmp_path / "experiments" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    (fault,) = load_experiment(path).experiment.faults
    assert isinstance(fault, ChaosToolkit)
    return fault


def test_everything_that_can_be_is_carried_over(tmp_path: Path) -> None:
    """Goal: the same activities. Method: an experiment with all parts, read back from its file."""
    made = imported(DRILL, Wishes())
    assert made.name == "backend-what-if-it-goes"
    fault = fault_of(made.text, tmp_path, made.name)
    asked = {key: value for key, value in ANSWERS.items() if key != "tolerance"}
    assert fault.method == (KILL, asked)
    assert fault.steady_state == (ANSWERS,)
    assert fault.rollbacks == ()
    assert fault.configuration == DRILL["configuration"]
    assert fault.secrets == {
        "site": {
            "token": {"type": "env", "key": "SITE_TOKEN"},
            "other": {"type": "env", "key": "OTHER"},
        }
    }
    assert (fault.service, fault.at, fault.duration) == ("backend", 60.0, 30.0)
    assert made.modules == ("chaosk8s.pod.actions",)


def test_what_is_not_carried_over_is_told() -> None:
    """Goal: nothing is dropped without a word. Method: the notes, which also stand in the file."""
    made = imported(DRILL, Wishes())
    assert made.notes == (
        "the reference to 'the front page answers' is the activity itself now",
        "controls are not carried over: tracing",
        "tags are not carried over",
        "rollbacks are always played here, not by the strategy 'deviated'",
        "the steady state is looked at before the method and after the rollbacks, not by the "
        "strategy 'continuously'; objectives and guards watch the time between",
        "the secret site.token is not carried over: it is read from the environment variable "
        "SITE_TOKEN",
        "it needs the environment variables HOST_NAME, OTHER, SITE_TOKEN",
        "it has no rollbacks: nobody can say whether its method is undone",
    )
    assert all(f"# - {note}" in made.text for note in made.notes)
    assert "s3cret" not in made.text


def test_what_the_caller_says_is_not_assumed(tmp_path: Path) -> None:
    """Goal: flags win. Method: all of them."""
    wishes = Wishes("drill", "api", "shop.py", 90.0, 45.0)
    fault = fault_of(imported(DRILL, wishes).text, tmp_path, "drill")
    assert (fault.service, fault.at, fault.duration) == ("api", 90.0, 45.0)


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"method": []}, (), "method: null or empty"),
        ({"title": ""}, (), "title: null or empty"),
        (
            {"method": [{**KILL, "provider": {"type": "ssh"}}]},
            ("method", 0),
            "('kill the backend') has the unknown provider 'ssh'; accepted: python, process, http",
        ),
        ({"method": [{"ref": "nobody"}]}, ("method", 0, "ref"), "no activity is called 'nobody'"),
        (
            {"method": [{**KILL, "dry": "actions"}]},
            ("method", 0),
            "('kill the backend') has 'dry', with which nothing would be broken; accepted: an "
            "activity without it",
        ),
        (
            {
                "steady-state-hypothesis": {"title": "t", "probes": [KILL | {"type": "probe"}]},
                "method": [KILL],
            },
            ("steady-state-hypothesis", "probes", 0),
            "('kill the backend') has no tolerance, so nothing could be missed",
        ),
        ({"rollbacks": {"a": 1}}, ("rollbacks",), "this is not a list of activities"),
        ({"secrets": ["a"]}, ("secrets",), "this is not a mapping"),
    ],
)
def test_what_would_mean_something_else_is_refused(
    change: dict[str, Any], path: tuple[str | int, ...], message: str
) -> None:
    """Goal: no experiment that does less than it says. Method: one mistake each, and its place."""
    with pytest.raises(NotImportableError) as caught:
        imported(DRILL | change, Wishes())
    assert [(one.path, one.message) for one in caught.value.found] == [(path, message)]


@pytest.mark.parametrize("document", [[1], "text", None, {"a": 1}])
def test_what_is_no_experiment_is_refused(document: Any) -> None:
    """Goal: a clear answer. Method: other documents."""
    with pytest.raises(NotImportableError) as caught:
        imported(document, Wishes())
    assert caught.value.accepted.startswith("a Chaos Toolkit experiment: a mapping with title")


def test_a_journal_is_told_from_its_experiment() -> None:
    """Goal: the file next to the right one. Method: a journal."""
    with pytest.raises(NotImportableError, match="this is the journal of an experiment"):
        imported({"chaoslib-version": "1", "experiment": DRILL, "run": []}, Wishes())


def test_an_alias_that_holds_itself_is_refused() -> None:
    """Goal: no endless descent. Method: a list in an activity of its own."""
    text = "title: t\ndescription: d\nmethod: &m [{type: action, name: n, x: *m}]\n"
    document, _ = read_document(text, "x.yaml")
    with pytest.raises(NotImportableError, match="holds itself, or is nested too deeply"):
        imported(document, Wishes())


def test_aliases_that_multiply_are_refused() -> None:
    """Goal: a small file stays small. Method: nine levels of nine aliases."""
    text = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
    )
    document, _ = read_document(text + "title: t\ndescription: d\nmethod: *a9\n", "x.yaml")
    with pytest.raises(NotImportableError, match="more than 50,000 values"):
        imported(document, Wishes())


def test_yaml_is_read_as_the_tool_reads_it(tmp_path: Path) -> None:
    """Goal: the same values. Method: words that YAML 1.1 and 1.2 take for different things."""
    text = yaml.safe_dump(
        DRILL | {"configuration": {"a": "yes", "b": True, "c": "0o17", "d": "1e3"}}
    )
    text = text.replace("b: true", "b: on\n  when: 2026-11-20\n  404: gone")
    document, _ = read_document(text, "drill.yaml")
    fault = fault_of(imported(document, Wishes()).text, tmp_path, "backend-what-if-it-goes")
    assert fault.configuration == {
        "a": "yes",
        "b": True,
        "c": "0o17",
        "d": "1e3",
        "when": "2026-11-20",
        "404": "gone",
    }


def test_length_is_that_of_pauses_and_an_allowance() -> None:
    """Goal: no activity is cut off. Method: pauses, one in the background, one of a variable."""
    pauses = [{"after": 40}, {"before": "${x}", "after": 2}]
    method = [{"pauses": one} for one in pauses] + [{"background": True, "pauses": {"before": 9}}]
    assert length_of(method) == 70.0  # 40 + 2 + 9, and 5 s for each of two.
    assert length_of([]) == 30.0


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Ünïcode & spaces!", "n-code-spaces"),
        ("…", "imported"),
        ("word " * 30, "word-" * 11 + "word"),
    ],
)
def test_a_title_becomes_a_name(title: str, name: str) -> None:
    assert slug(title) == name


def test_places_are_those_of_the_file() -> None:
    """Goal: a mistake is found. Method: the third line of a JSON file."""
    text = '{"title": "t",\n "method": [\n   {"type": "action"}, 7]}'
    _, nodes = read_document(text, "x.json")
    assert place_of(nodes, ("method", 1)) == (3, 24)
    assert place_of(nodes, ("method", 0, "provider")) == (3, 4)


# -- the command -----------------------------------------------------------------------------------


def test_command_writes_a_file_that_is_valid(folder: Path, run: Run) -> None:  # noqa: F811
    """Goal: ready to be edited. Method: import, then validate; then import again."""
    text = json.dumps(DRILL).replace("chaosk8s", "chaos_of_nobody")
    (folder / "drill.json").write_text(text)
    code, out, err = run("import", "drill.json")
    assert (code, out) == (0, "experiments/backend-what-if-it-goes.yaml: written, and valid\n")
    assert "note: controls are not carried over: tracing\n" in err
    assert "note: the Python module chaos_of_nobody.pod.actions is not installed here\n" in err
    assert run("validate", "backend-what-if-it-goes")[0] == 0
    code, _, err = run("import", "drill.json")
    assert code == 2
    assert "is there already\naccepted: another --name, or another --output" in err


def test_command_says_where_the_mistakes_are(folder: Path, run: Run) -> None:  # noqa: F811
    """Goal: file:line:col, and all at once. Method: two mistakes; a file that is not JSON."""
    text = json.dumps(DRILL | {"method": [7, {"ref": "x"}]}, indent=1)
    (folder / "drill.json").write_text(text)
    lines = text.splitlines()
    seven = next(n for n, line in enumerate(lines, 1) if line.strip() == "7,")
    code, _, err = run("import", "drill.json")
    assert code == 2
    assert f"drill.json:{seven}:3: is not an activity; accepted: a mapping" in err
    assert f"drill.json:{seven + 2}:11: no activity is called 'x'" in err
    (folder / "broken.json").write_text('{"title": }')
    code, _, err = run("import", "broken.json")
    assert "broken.json:1:11: this is not JSON: Expecting value" in err
    assert code == 2


def test_what_is_not_valid_is_not_written(folder: Path, run: Run) -> None:  # noqa: F811
    """Goal: a failed try blocks no next one. Method: a Locust file that is not there, then one."""
    (folder / "chaos.json").write_text(json.dumps(DRILL))
    argv = ("import", "chaos.json", "--name", "again")
    code, _, err = run(*argv, "--locustfile", "gone.py")
    assert code == 2
    assert "there is no Locust file 'gone.py'" in err
    assert list((folder / "experiments").iterdir()) == []
    assert run(*argv, "--locustfile", "shop.py")[0] == 0
