"""Experiments as Chaos Toolkit experiments: valid, in the order of time, and back again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bare_api import BareApi, users_part
from called import folder, run  # noqa: F401 - fixtures
from chaos_objects import virtual_service
from chaoslib.experiment import ensure_experiment_is_valid
from conftest import ROOT

from runner.chaos.activities.moments import LEAD_S
from runner.chaos.exporting import HOLD, exported
from runner.chaos.importing import Wishes, imported
from runner.errors import UsageError
from runner.model.experiment import Experiment
from runner.model.plan import make_plan

Run = Callable[..., tuple[int, str, str]]

TRIP = """\
name: trip
description: Two faults that overlap, and a kill.
load:
  locustfile: shop.py
  stages:
    - {duration: 10s, users: 20, spawn_rate: 5}
    - {duration: 90s, users: 40}
warmup: 5s
faults:
  - {kind: http-abort, service: payment-api, at: 20s, duration: 20s, status: 503}
  - {kind: http-delay, service: payment-api, at: 30s, duration: 20s, delay: 200ms}
  - {kind: pod-kill, service: order-api, at: 60s, duration: 20s}
  - kind: chaostoolkit
    service: order-api
    at: 70s
    duration: 10s
    method: [{type: action, name: do, provider: {type: process, path: "true"}}]
    rollbacks: [{type: action, name: undo, provider: {type: process, path: "true"}}]
    configuration: {namespace: mine}
    secrets: {site: {token: {type: env, key: TRIP_TOKEN}}}
objectives: [{objective: errors < 50%, during: [baseline, recovery]}]
"""
EXPERIMENTS = {"trip": TRIP}


def made(*faults: dict[str, Any], load: dict[str, Any] | None = None) -> dict[str, Any]:
    experiment = Experiment.model_validate(
        {
            "name": "x",
            "description": "A question?",
            "load": load
            or {"locustfile": "shop.py", "stages": [{"duration": "120s", "users": 10}]},
            "faults": list(faults),
            "objectives": ["errors < 1%"],
        }
    )
    return exported(
        make_plan(experiment), "name: x\n", locustfile="l/shop.py", namespace="n", host="http://h"
    )


def foreign(name: str, **fields: Any) -> dict[str, Any]:
    provider = {"type": "process", "path": "true"}
    method = [{"type": "action", "name": name, "provider": provider}]
    return {
        "kind": "chaostoolkit",
        "service": "s",
        "at": "10s",
        "duration": "10s",
        "method": method,
        **fields,
    }


@pytest.fixture
def trip(folder: Path, run: Run) -> dict[str, Any]:  # noqa: F811
    """The export of the experiment above."""
    code, out, _ = run("export", "trip")
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    return document


def test_order_is_that_of_time(trip: dict[str, Any]) -> None:
    """Goal: overlapping faults come and go as planned. Method: the names of the activities."""
    assert [one["name"] for one in trip["method"]] == [
        "load",
        "01-http-abort: wait-for-start",
        "01-http-abort: inject-abort",
        "01-http-abort: verify-fault",
        "02-http-delay: wait-for-start",
        "02-http-delay: inject-delay",
        "02-http-delay: verify-fault",
        "01-http-abort: wait-for-end",
        "01-http-abort: remove-fault",
        "01-http-abort: verify-removal",
        "02-http-delay: wait-for-end",
        "02-http-delay: remove-fault",
        "02-http-delay: verify-removal",
        "03-pod-kill: wait-for-start",
        "03-pod-kill: kill-pods",
        "04-chaostoolkit: wait-for-start",
        "04-chaostoolkit: mark-fault",
        "do",
        "04-chaostoolkit: wait-for-end",
        "undo",
        "04-chaostoolkit: unmark-fault",
        "04-chaostoolkit: verify-removal",
    ]
    assert [one["name"] for one in trip["method"] if one.get("background")] == [
        "load",
        "03-pod-kill: kill-pods",
    ]
    assert [one["name"] for one in trip["rollbacks"]] == [
        "undo",
        "04-chaostoolkit: unmark-fault",
        "04-chaostoolkit: verify-removal",
        "02-http-delay: remove-fault",
        "02-http-delay: verify-removal",
        "01-http-abort: remove-fault",
        "01-http-abort: verify-removal",
    ]
    assert [one["name"] for one in trip["steady-state-hypothesis"]["probes"]] == [
        "01-http-abort: routes-exist",
        "02-http-delay: routes-exist",
        "03-pod-kill: pods-can-be-killed",
        "04-chaostoolkit: fault-can-be-marked",
    ]


def test_times_are_moments_of_its_own(trip: dict[str, Any]) -> None:
    """Goal: it runs whenever it is run. Method: one fault's start, expiry and end."""
    arguments = {one["name"]: one["provider"].get("arguments") for one in trip["method"]}
    assert arguments["01-http-abort: wait-for-start"] == {"wall_s": "${at_20s}"}
    assert arguments["01-http-abort: inject-abort"]["expires_at_wall_s"] == "${at_55s}"
    assert arguments["01-http-abort: wait-for-end"] == {"wall_s": "${at_40s}"}
    moment = trip["configuration"]["at_20s"]["provider"]
    assert (moment["func"], moment["arguments"]) == ("moment", {"offset_s": 20.0})


def test_where_and_who_come_by_environment(trip: dict[str, Any]) -> None:
    """Goal: no path, no cluster, no secret. Method: configuration, secrets, and the whole text."""
    assert trip["configuration"]["seatrial_run"] == {
        "type": "env",
        "key": "SEATRIAL_RUN_ID",
        "default": "exported-trip",
    }
    assert trip["configuration"]["namespace"] == "mine"  # The fault's own one.
    inject = trip["method"][2]["provider"]["arguments"]
    assert (inject["namespace"], inject["run"]) == ("${seatrial_namespace}", "${seatrial_run}")
    assert trip["secrets"] == {"site": {"token": {"type": "env", "key": "TRIP_TOKEN"}}}
    assert trip["controls"][0]["provider"]["arguments"]["hidden"] == ["TRIP_TOKEN"]
    assert not re.search(r'"/[a-z]', json.dumps(trip))


def test_load_is_locust_at_its_highest(trip: dict[str, Any]) -> None:
    """Goal: the load of a closed model. Method: its command line."""
    load = trip["method"][0]["provider"]
    words = " ".join(load["arguments"])
    assert (load["path"], load["timeout"]) == ("locust", 160)
    assert "-f locustfiles/shop.py --host ${seatrial_host} -u 40 -r 20 -t 103s" in words
    assert "--headless --only-summary --exit-code-on-error 0" in words


def test_load_that_locust_does_not_have_is_told() -> None:
    """Goal: no load in silence. Method: an arrival rate."""
    document = made(load={"locustfile": "s.py", "stages": [{"duration": "60s", "rate": "5/s"}]})
    assert document["method"] == []
    assert "Send load yourself for 60 s" in document["description"]


def test_it_is_valid(trip: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: ``chaos validate`` accepts it. Method: the library's own validation."""
    monkeypatch.setenv("TRIP_TOKEN", "x")
    monkeypatch.setenv(
        "PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    )
    ensure_experiment_is_valid(json.loads(json.dumps(trip)))


def test_it_comes_back_as_it_was(trip: dict[str, Any], folder: Path, run: Run) -> None:  # noqa: F811
    """Goal: native faults again, comments and all. Method: export, import; with a new name; and
    after somebody has edited an activity."""
    assert imported(trip, Wishes()).text == TRIP
    renamed = imported(trip, Wishes(name="again"))
    assert renamed.text == TRIP.replace("name: trip", "name: again")
    assert renamed.notes == ()
    trip["method"][2]["provider"]["arguments"]["status"] = 500
    (note,) = imported(trip, Wishes()).notes
    assert "its activities were changed after it was exported" in note
    (folder / "trip.json").write_text(json.dumps(trip))
    code, out, _ = run("import", "trip.json", "--name", "again")
    assert (code, out) == (0, "experiments/again.yaml: written, and valid\n")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "http-delay", "delay": "1s", "side": "server", "count": 1},
        {"kind": "http-abort", "status": 500, "headers": {"x": {"prefix": "y"}}, "route": "#1"},
        {"kind": "pod-kill", "count": "50%", "every": "3s", "jitter": "1s"},
        {"kind": "scale", "replicas": 0},
        {"kind": "rollout-restart"},
        {"kind": "cordon"},
        {"kind": "drain", "last_node": True},
        {"kind": "network-deny", "direction": "both"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_every_kind_can_be_exported(fault: dict[str, Any]) -> None:
    """Goal: no kind stays behind. Method: each kind; the library validates what is exported, and no
    time in it is one of a clock."""
    where = {"service": "order-api", "at": "10s", "duration": "20s"}
    document = json.loads(json.dumps(made(fault | where)))
    ensure_experiment_is_valid(document | {"method": document["method"][1:]})  # Without Locust.
    names = [one["name"] for one in document["method"]]
    assert names[1] == f"01-{fault['kind']}: wait-for-start"
    assert not any(name.endswith(HOLD) for name in names)
    asked = re.findall(r'"(?:\w+_)?wall_s": ([^,}]+)', json.dumps(document))
    assert asked
    assert all(value.startswith(('"${at_', '["${at_')) for value in asked)


def test_two_values_of_one_name_are_refused() -> None:
    """Goal: no activity gets another's value. Method: two faults with one name."""
    one = foreign("a", configuration={"x": 1})
    with pytest.raises(UsageError, match="two faults have different values of 'x' in their conf"):
        made(one, foreign("b", configuration={"x": 2}, at="40s"))
    assert made(one, foreign("b", configuration={"x": 1}, at="40s"))["configuration"]["x"] == 1


# -- the real tool ---------------------------------------------------------------------------------


def chaos(
    api: BareApi | None, cwd: Path, *argv: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """A plain ``chaos run``, as anybody would start it."""
    return subprocess.run(
        [
            *(sys.executable, "-P", "-m", "chaostoolkit", "--no-version-check", "--no-log-file"),
            *("run", *argv),
        ],
        cwd=cwd,
        env=os.environ | ({"KUBECONFIG": str(api.kubeconfig)} if api else {}) | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def effects(path: Path) -> list[tuple[str, str, float]]:
    lines = map(json.loads, path.read_text().splitlines())
    return [(line["what"], line["subject"], line["wall_s"]) for line in lines]


@pytest.mark.sandbox
def test_the_tool_carries_it_out(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: two faults at their times, without our runner. Method: export, ``chaos run``, and what
    is on record; the objects are as before. (A load would need a mesh.)"""
    before = users_part(bare_api.put(virtual_service("export-api")))
    abort = {"kind": "http-abort", "service": "export-api", "status": 503}
    delay = {"kind": "http-delay", "service": "export-api", "delay": "1s"}
    document = made(
        abort | {"at": "0s", "duration": "1.5s"},
        delay | {"at": "1s", "duration": "1s"},
        load={"locustfile": "s.py", "stages": [{"duration": "10s", "rate": "5/s"}]},
    )
    (tmp_path / "x.json").write_text(json.dumps(document))
    log = tmp_path / "effects.jsonl"
    began_s = time.time()
    done = chaos(
        bare_api, tmp_path, "x.json", SEATRIAL_NAMESPACE="ecommerce", SEATRIAL_EFFECTS=str(log)
    )
    assert done.returncode == 0, done.stderr
    journal = json.loads((tmp_path / "journal.json").read_text())
    assert journal["status"] == "completed"
    steps = [*journal["run"], *journal["rollbacks"]]
    assert {step["status"] for step in steps} == {"succeeded"}
    assert users_part(bare_api.get("export-api")) == before
    seen = effects(log)
    vs = "virtualservice/export-api"
    changes = [(what, subject) for what, subject, _ in seen if what in ("injected", "removed")]
    assert changes == [("injected", vs), ("injected", vs), ("removed", vs), ("removed", vs)]
    first, second, third, fourth = (
        at_s for what, _, at_s in seen if what in ("injected", "removed")
    )
    assert first >= began_s + LEAD_S
    # Planned at 0, 1.0, 1.5 and 2.0 s; each may be late, and none comes before its time.
    assert second >= began_s + LEAD_S + 1.0
    assert third >= began_s + LEAD_S + 1.5
    assert fourth >= began_s + LEAD_S + 2.0


@pytest.mark.sandbox
def test_a_load_that_fails_fails_the_run(tmp_path: Path) -> None:
    """Goal: no success without load. Method: the plain tool on an export without faults, with a
    Locust file that is not there; the same with a program that ends well in Locust's place."""
    document = made()
    codes = {}
    for name, program in (("gone", [sys.executable, "-P", "-m", "locust"]), ("well", ["true"])):
        load = document["method"][0]
        provider = load["provider"] | {"path": program[0]}
        provider["arguments"] = [*program[1:], "--headless", "-f", "gone.py"]
        whole = document | {"method": [load | {"provider": provider}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(whole))
        done = chaos(None, tmp_path, "--journal-path", f"{name}-journal.json", f"{name}.json")
        journal = json.loads((tmp_path / f"{name}-journal.json").read_text())
        codes[name] = (done.returncode, journal["status"])
    assert codes == {"gone": (1, "failed"), "well": (0, "completed")}


@pytest.mark.sandbox
def test_the_example_of_the_documents_runs(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: somebody else's experiment may use our actions and probes. Method: the example in the
    documents, run by the plain tool; what is there meanwhile, and after."""
    text = (ROOT / "docs" / "chaostoolkit.md").read_text(encoding="utf-8")
    (example, _) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (tmp_path / "drill.json").write_text(example)
    before = users_part(bare_api.put(virtual_service("payment-api")))
    log = tmp_path / "effects.jsonl"
    done = chaos(
        bare_api,
        tmp_path,
        "--rollback-strategy",
        "always",
        "drill.json",
        HOLD_S="0",
        SEATRIAL_EFFECTS=str(log),
    )
    assert done.returncode == 0, done.stderr
    assert users_part(bare_api.get("payment-api")) == before
    assert [what for what, _, _ in effects(log)] == ["injected", "verified", "removed", "gone"]
    bare_api.delete("payment-api")
