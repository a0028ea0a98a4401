"""Marks of faults on objects: read by whoever must know that they are there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.model.faultmark import FaultMark, all_marks, heal_command, marks_on, names_a_run

RUN = "2026-11-20T092337Z-ab12"
NAME = f"seatrial-{RUN.lower()}-01-x"
OWNED = {"app.kubernetes.io/managed-by": "seatrial-fault"}


def told(**more: Any) -> dict[str, str]:
    entry = {"run": RUN, "fault": "01-x", "expires_at": "2026-11-20T10:00:00Z", **more}
    return {"seatrial.dev/faults": json.dumps({NAME: entry})}


def thing(kind: str, name: str = "it", **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, **metadata}}


@pytest.mark.parametrize("kind", ["Deployment", "Node", "Pod", "ConfigMap", "EnvoyFilter"])
def test_the_annotation_tells_on_every_kind(kind: str) -> None:
    mark = FaultMark(f"{kind.lower()}/it", RUN, "01-x", "2026-11-20T10:00:00Z")
    assert marks_on(thing(kind, annotations=told())) == (mark,)
    assert mark.sentence == f"{kind.lower()}/it still carries the fault 01-x of run {RUN}"


@pytest.mark.parametrize(
    ("obj", "run", "fault"),
    [
        (thing("NetworkPolicy", NAME, labels=OWNED), RUN, "01-x"),
        (thing("NetworkPolicy", NAME), RUN, "01-x"),
        (thing("ConfigMap", NAME, annotations={"seatrial.dev/faults": "{"}), RUN, "01-x"),
        (thing("EnvoyFilter", "seatrial-my-run-f", labels=OWNED), "", "my-run-f"),
        (thing("Pod", labels={"seatrial.dev/hit-0123": "true"}), "", "seatrial.dev/hit-0123"),
        (thing("Node", annotations={"seatrial.dev/faults": "[]"}), None, None),
        (thing("Node", annotations={"seatrial.dev/faults": "?"}), "", "seatrial.dev/faults"),
    ],
)
def test_names_tell_where_the_annotation_does_not(
    obj: dict[str, Any], run: str | None, fault: str | None
) -> None:
    """Goal: a damaged mark is a mark. Method: what is left of it, kind by kind."""
    found = [(mark.run, mark.fault) for mark in marks_on(obj)]
    assert found == ([(run, fault)] if fault else [("", "seatrial.dev/faults")])


@pytest.mark.parametrize(
    "obj",
    [
        thing("NetworkPolicy", "seatrial-allow"),
        thing("ConfigMap", "seatrial-stop"),
        thing("EnvoyFilter", "mine", labels=OWNED),
        thing("Deployment", annotations={"other": "1"}, labels={"app": "x"}),
        {"kind": "Pod", "metadata": {"name": "x", "labels": None, "annotations": None}},
    ],
)
def test_what_is_the_users_has_no_mark(obj: dict[str, Any]) -> None:
    assert all_marks([obj]) == ()


def test_a_fault_that_is_told_twice_is_one() -> None:
    """Goal: no fault is counted twice. Method: name, label and annotation say the same."""
    assert len(marks_on(thing("EnvoyFilter", NAME, labels=OWNED, annotations=told()))) == 1
    pod = thing("Pod", labels={"seatrial.dev/hit-0123": "true"}, annotations=told())
    assert [mark.fault for mark in marks_on(pod)] == ["01-x"]


def test_names_with_a_run_id_in_them() -> None:
    assert names_a_run(NAME)
    assert not names_a_run("seatrial-x-01-http-abort")
    assert not names_a_run(NAME.removeprefix("seatrial-"))


@pytest.mark.parametrize(
    ("run", "kind", "name", "flags", "command"),
    [
        (RUN, "sandbox", "default", "", f"seatrial heal {RUN}"),
        (RUN, "sandbox", "mine", "", f"seatrial heal {RUN} --sandbox-name mine"),
        (None, "cluster", "c", "", "seatrial heal --all --target c"),
        (None, "cluster", "c", "--context x -n y", "seatrial heal --all --context x -n y"),
    ],
)
def test_the_command_that_finishes_the_work(
    run: str | None, kind: str, name: str, flags: str, command: str
) -> None:
    assert heal_command(run, kind, name, flags) == command
