"""The marker, the witness and the second look, in this process."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_fakes import FakeCluster
from chaoslib.exceptions import ActivityFailed, InterruptExecution
from foreign_children import python

from runner.chaos import witness
from runner.chaos.activities.foreign import (
    fault_can_be_marked,
    fault_mark_holds,
    mark_fault,
    steady_state_is_back,
    unmark_fault,
)
from runner.chaos.activities.moments import LEAD_S, moment
from runner.chaos.activities.shared import standing_in
from runner.chaos.foreign import foreign_environment, placed, play_rollbacks
from runner.chaos.objects import CONFIG_MAPS
from runner.errors import FaultError
from runner.readback import activity_problem

WHERE: dict[str, Any] = {"namespace": "shop", "run": "Run-1", "fault": "01-x"}
NAME = "seatrial-run-1-01-x"
UNDO = {
    "type": "action",
    "name": "undo",
    "provider": {"type": "python", "module": "builtins", "func": "abs", "arguments": {"x": 1}},
}


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    fake = FakeCluster()
    with standing_in(fake):
        yield fake


@pytest.fixture
def watch() -> Iterator[Callable[..., witness.Watched]]:
    """Begins to watch an experiment; the process is as before afterwards."""
    handler = signal.getsignal(signal.SIGTERM)

    def begin(**experiment: Any) -> witness.Watched:
        witness.configure_control({"method": [UNDO]} | experiment, {}, {}, skip_unmarked=True)
        return witness.watched()

    yield begin
    witness._watched.clear()
    signal.signal(signal.SIGTERM, handler)


def ended(activity: dict[str, Any], **run: Any) -> dict[str, Any]:
    """What the tool tells the control of an activity that has ended."""
    state = {"activity": activity, "status": "succeeded", "output": None} | run
    witness.after_activity_control(activity, state)
    return state


def test_marker_says_whose_what_and_until_when(
    cluster: FakeCluster, watch: Callable[..., witness.Watched]
) -> None:
    """Goal: everybody sees the fault. Method: the object, then its removal after the rollbacks."""
    watch()
    assert mark_fault(service="api", activities=["do"], rollbacks=["undo"], owner="me@x", **WHERE)
    marker = cluster.spec(NAME, CONFIG_MAPS)
    assert marker["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "seatrial-fault"}
    assert '"owner":"me@x"' in marker["metadata"]["annotations"]["seatrial.dev/faults"]
    assert (marker["data"]["activities"], marker["data"]["rollbacks"]) == ("do", "undo")
    witness.before_rollback_control({})
    ended(UNDO)
    assert unmark_fault(after=["undo"], **WHERE) == [f"configmap/{NAME}"]
    assert cluster.objects["configmaps"] == {}


def test_marker_is_put_once_although_an_answer_was_lost(
    cluster: FakeCluster, watch: Callable[..., witness.Watched]
) -> None:
    """Goal: no fault fails for a marker that is there. Method: the first answer does not come."""
    watch()
    create = cluster.create
    lost = [503]

    def once_lost(kind: Any, body: Any) -> Any:
        made = create(kind, body)
        if lost:
            cluster.refuse["create"] = [lost.pop()]
            create(kind, body)
        return made

    cluster.create = once_lost  # type: ignore[method-assign]
    assert mark_fault(service="api", **WHERE) == [f"configmap/{NAME}"]
    assert list(cluster.objects["configmaps"]) == [NAME]


@pytest.mark.parametrize("watched", [True, False])
def test_without_a_marker_nothing_is_begun(
    cluster: FakeCluster, watch: Callable[..., witness.Watched], watched: bool
) -> None:
    """Goal: a failing first step does not let the method go on, as the tool would. Method: no right
    to create it, and nobody who watches; the exit code that plays no rollbacks."""
    if watched:
        watch()
        cluster.refuse["create"] = [403]
    with pytest.raises(SystemExit) as caught:
        mark_fault(service="api", **WHERE)
    assert caught.value.code == 30
    if watched:
        assert "the fault cannot be marked" in witness.watched().ended


def test_a_missing_right_is_told_before_the_start(cluster: FakeCluster) -> None:
    """Goal: the gate refuses. Method: one verb that is forbidden."""
    assert fault_can_be_marked("shop")
    cluster.forbidden.add(("delete", "configmaps"))
    with pytest.raises(ActivityFailed, match="we may not delete configmaps in shop"):
        fault_can_be_marked("shop")


def test_whoever_takes_the_marker_away_ends_the_fault(
    cluster: FakeCluster, watch: Callable[..., witness.Watched]
) -> None:
    """Goal: it is noticed. Method: a marker that is deleted; activities that took too long."""
    watch()
    mark_fault(service="api", **WHERE)
    assert fault_mark_holds(until_wall_s=time.time(), **WHERE)
    with pytest.raises(ActivityFailed, match=r"took 5\.\d s longer than the fault lasts"):
        fault_mark_holds(until_wall_s=time.time() - 5, **WHERE)
    cluster.objects["configmaps"].clear()
    with pytest.raises(ActivityFailed, match="is not there"):
        fault_mark_holds(until_wall_s=time.time() + 60, **WHERE)


def test_marker_that_expires_before_the_end_ends_the_fault(
    cluster: FakeCluster, watch: Callable[..., witness.Watched]
) -> None:
    """Goal: nobody may heal it meanwhile. Method: an expiry before the end, and after it."""
    watch()
    mark_fault(service="api", expires_at_wall_s=time.time() + 30, **WHERE)
    assert fault_mark_holds(until_wall_s=time.time() + 0.2, **WHERE)
    with pytest.raises(ActivityFailed, match=r"expires at .* before its end"):
        fault_mark_holds(until_wall_s=time.time() + 60, **WHERE)


def test_marker_of_somebody_else_is_none(
    cluster: FakeCluster, watch: Callable[..., witness.Watched]
) -> None:
    """Goal: nothing begins without a marker of its own. Method: its name is taken, by an object
    with other contents; it stays as it was."""
    watch()
    mark_fault(service="api", activities=["do"], **WHERE)
    before = cluster.spec(NAME, CONFIG_MAPS)
    with pytest.raises(SystemExit):
        mark_fault(service="api", activities=["do something else"], **WHERE)
    assert "is there already, and is something else" in witness.watched().ended
    assert cluster.spec(NAME, CONFIG_MAPS) == before


def test_marker_stays_until_every_rollback_has_succeeded(
    cluster: FakeCluster, watch: Callable[..., witness.Watched]
) -> None:
    """Goal: a fault is not forgotten. Method: no rollback, a failed one, one of two, both."""
    watch()
    mark_fault(service="api", **WHERE)
    ended(UNDO)  # In the method: that is no rollback.
    witness.before_rollback_control({})
    with pytest.raises(ActivityFailed, match="undo: it has not ended"):
        unmark_fault(after=["undo"], within_s=0.0, **WHERE)
    ended(UNDO, status="failed", exception=["OSError: no\n"])
    with pytest.raises(ActivityFailed, match="undo: OSError: no; undo: it has not ended"):
        unmark_fault(after=["undo", "undo"], within_s=0.0, **WHERE)
    assert list(cluster.objects["configmaps"]) == [NAME]
    witness.before_rollback_control({})
    ended(UNDO)
    ended(UNDO)
    assert unmark_fault(after=["undo", "undo"], within_s=0.0, **WHERE)


def test_what_was_never_begun_is_not_rolled_back(watch: Callable[..., witness.Watched]) -> None:
    """Goal: rollbacks of nothing break nothing. Method: before and after the marker; a replay."""
    watch()
    with pytest.raises(InterruptExecution, match="nothing was begun"):
        witness.before_rollback_control({})
    witness.watched().marked = True
    witness.before_rollback_control({})
    watch(method=[])  # A replay has rollbacks only.
    witness.before_rollback_control({})


def test_sigterm_is_no_exception_that_could_be_swallowed(
    watch: Callable[..., witness.Watched],
) -> None:
    """Goal: an activity cannot go on. Method: the signal's handler, and the journal after it."""
    watch()
    with pytest.raises(SystemExit) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 20
    journal = {"status": "completed", "run": [{"activity": UNDO}], "rollbacks": []}
    witness.after_experiment_control({}, journal)
    assert journal["status"] == "interrupted"
    assert journal["run"] == [
        {"activity": UNDO, "status": "failed", "exception": ["SIGTERM was received\n"]}
    ]


@pytest.mark.parametrize(
    ("value", "tolerance", "said"),
    [
        (None, True, "x has no value"),
        (float("nan"), {"type": "range", "range": [0, 1]}, "x has no value"),
        ("nan", {"type": "range", "range": [0, 1]}, "x: InvalidOperation"),
        ("text", [0, 1], "x: TypeError"),
        (2, [0, 1], "x is not within its tolerance"),
        (2, 2.5, "x is not within its tolerance"),
    ],
)
def test_second_look_is_not_met_by_accident(
    watch: Callable[..., witness.Watched], value: Any, tolerance: Any, said: str
) -> None:
    """Goal: nothing is taken for steady. Method: values that break the comparison."""
    probe = python("probe", "echo", "x", value=value) | {"tolerance": tolerance}
    watch(**{"steady-state-hypothesis": {"probes": [probe]}})
    with pytest.raises(ActivityFailed, match=f"not steady after the rollbacks: {said}"):
        steady_state_is_back(["x"], within_s=0.0)
    with pytest.raises(ActivityFailed, match="has no probe y"):
        steady_state_is_back(["y"], within_s=0.0)


@pytest.mark.parametrize(
    ("provider", "output", "tolerance", "problem"),
    [
        ("process", {"status": 0}, None, ""),
        ("process", {"status": 2}, None, "the program ended with 2"),
        ("process", {"status": -9}, None, "the program ended with -9"),
        ("process", {"status": 2}, [0, 2], ""),
        ("process", {"status": 0}, 2, "its status is 0, not 2"),
        ("http", {"status": 204}, None, ""),
        ("http", {"status": 503}, None, "the answer was HTTP 503"),
        ("http", {"status": 404}, [200, 404], ""),
        ("http", "no answer", None, "the answer was HTTP None"),
    ],
)
def test_what_an_action_answers_may_say_that_it_failed(
    provider: str, output: Any, tolerance: Any, problem: str
) -> None:
    """Goal: a program's exit code counts. Method: journal entries that the tool calls succeeded."""
    activity = {"type": "action", "name": "a", "provider": {"type": provider}}
    activity |= {} if tolerance is None else {"tolerance": tolerance}
    item = {"activity": activity, "status": "succeeded", "output": output}
    assert activity_problem(item) == problem
    asking = item | {"activity": activity | {"type": "probe"}}
    assert activity_problem(asking) == ""


def test_replay_needs_an_experiment(tmp_path: Path) -> None:
    """Goal: whoever heals is told. Method: no folder, a torn file, no rollbacks."""
    (said,) = play_rollbacks(tmp_path / "none")
    assert "the rollbacks cannot be read from" in said
    (tmp_path / "experiment.json").write_text('{"rollbacks": [')
    assert "the rollbacks cannot be read from" in play_rollbacks(tmp_path)[0]
    (tmp_path / "experiment.json").write_text('{"rollbacks": []}')
    assert play_rollbacks(tmp_path) == [f"{tmp_path / 'experiment.json'} has no rollbacks"]
    needy = {"rollbacks": [UNDO], "secrets": {"s": {"t": {"type": "env", "key": "T_T"}}}}
    (tmp_path / "experiment.json").write_text(json.dumps(needy))
    assert play_rollbacks(tmp_path, {}) == ["the rollbacks need T_T, which the environment lacks"]


def test_no_path_of_this_machine_is_kept(tmp_path: Path) -> None:
    """Goal: relative paths count from where the run was started. Method: the note of it."""
    experiment = placed({"extensions": []}, tmp_path, tmp_path / "results" / "chaos" / "01-x")
    assert experiment == {"extensions": [{"name": "seatrial-place", "cwd": "../../.."}]}
    assert placed({}, None, tmp_path) == {}


def test_a_child_is_given_the_variables_that_it_names() -> None:
    """Goal: no more, and no fewer. Method: one that is set, one with a default, one missing."""
    named = {"a": {"type": "env", "key": "A"}, "b": {"type": "env", "key": "B", "default": "x"}}
    assert foreign_environment(named, {}, {"A": "1", "C": "2"}) == {"A": "1"}
    with pytest.raises(FaultError, match="need A, which the environment lacks"):
        foreign_environment(named, {}, {})


def test_moments_have_one_zero() -> None:
    """Goal: offsets of one experiment fit together. Method: two moments, and the clock."""
    first = moment(0)
    assert moment(12.5) == pytest.approx(first + 12.5, abs=0.002)
    assert first <= time.time() + LEAD_S + 0.001  # It is rounded.


def test_actions_that_succeeded_are_on_record(
    watch: Callable[..., witness.Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: what was done is known up to the last step. Method: an action and a probe of others, an
    action of ours, a failed one; a rollback that is played within the method of an export."""
    log = tmp_path / "effects.jsonl"
    monkeypatch.setenv("SEATRIAL_EFFECTS", str(log))
    watch(rollbacks=[UNDO])
    do = python("action", "nothing", "do")
    ended(do)
    ended(python("probe", "nothing", "ask"))
    ours = {"type": "python", "module": "runner.chaos.actions", "func": "wait_until"}
    ended({"type": "action", "name": "wait", "provider": ours})
    ended(do, status="failed", exception=["no\n"])
    ended(UNDO)
    witness.watched().marked = True
    witness.before_rollback_control({})
    ended(do)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["what"], line["subject"]) for line in lines] == [
        ("injected", "activity/do"),
        ("removed", "activity/undo"),
        ("removed", "activity/do"),
    ]


def test_witness_says_what_failed_in_the_log(
    watch: Callable[..., witness.Watched], caplog: pytest.LogCaptureFixture
) -> None:
    """Goal: the log says it where it happened. Method: a program that failed."""
    watch()
    program = {"type": "action", "name": "p", "provider": {"type": "process"}}
    with caplog.at_level(logging.ERROR, logger="chaostoolkit"):
        state = ended(program, output={"status": 1})
    assert (state["status"], state["exception"]) == ("failed", ["the program ended with 1\n"])
    assert "failed: the program ended with 1" in caplog.text
