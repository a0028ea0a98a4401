"""What breakers see: a fault in front of a pod ejects it, one in the callers' proxies does not."""

from __future__ import annotations

import json

import pytest
from commands import NOTHING, SHOP, Ending, Place, seatrial

from runner.model.recording import Recording
from runner.targets.sandbox.control import SandboxInfo

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("crew")]

CLIENT, SERVER, DENY = "01-http-abort", "02-http-abort", "03-network-deny"
PAYMENT = {"kind": "http-abort", "service": "payment-api", "status": 503, "duration": "2s"}
EXPERIMENT = {
    "load": {
        "locustfile": SHOP,
        "stages": [{"duration": "1s", "users": 60}, {"duration": "14s", "users": 60}],
    },
    "warmup": "1s",
    "faults": [
        {**PAYMENT, "at": "3s", "side": "client"},
        {**PAYMENT, "at": "7s", "side": "server", "count": 1},
        {
            "kind": "network-deny",
            "service": "product-api",
            "at": "11s",
            "duration": "2s",
        },
    ],
    "objectives": ["errors < 90%"],
}


@pytest.fixture(scope="module")
def ending(sandbox_info: SandboxInfo, tmp_path_factory: pytest.TempPathFactory) -> Ending:
    place = Place.make(tmp_path_factory.mktemp("breakers"), sandbox_info.home.parent)
    name = place.experiment("breakers", **EXPERIMENT)
    return seatrial(place, "run", name, "--sandbox-name", sandbox_info.name, "-o", "json")


@pytest.fixture(scope="module")
def recording(ending: Ending) -> Recording:
    return ending.folder.recording()


def ejected(recording: Recording, from_s: float, to_s: float) -> float:
    """The most pods of payment-api that one caller had ejected between two offsets."""
    assert recording.signals is not None
    (series,) = [
        one
        for one in recording.signals.series
        if (one.sli, one.service) == ("pool.ejected", "payment-api")
    ]
    values = [v for t, v in series.points if from_s <= t <= to_s and v is not None]
    assert values, "nothing was asked about that time"
    return max(values)


def test_only_the_fault_in_front_of_the_pod_trips_breakers(recording: Recording) -> None:
    """Goal: the fact that decides which fault tests a breaker. Method: the same abort of all
    requests on each side; ejected pods by the callers' own count."""
    assert ejected(recording, 1, 6.5) == 0
    assert ejected(recording, 7, 11) == 1


def test_both_are_seen_where_they_act_and_gone(recording: Recording) -> None:
    """Goal: evidence on each side. Method: flagged requests in the time of each, none later."""
    assert recording.signals is not None
    flags, late = recording.signals.fault_flags, recording.signals.late_flags
    assert (flags[CLIENT] or 0) > (flags[SERVER] or 0) >= 5
    assert late[CLIENT] == late[SERVER] == 0


def test_forbidden_traffic_fails_for_want_of_connections(recording: Recording) -> None:
    """Goal: the sandbox enforces it. Method: failed connections in its time, beyond the usual."""
    assert recording.signals is not None
    assert (recording.signals.fault_flags[DENY] or 0) > 5


def test_every_step_is_on_record_and_undone(ending: Ending, recording: Recording) -> None:
    """Goal: the effects name the pod; nothing is left. Method: subjects by effect."""
    effects = {record.id: record.effects for record in recording.faults}
    chosen = {e.subject for e in effects[SERVER] if e.what == "injected"}
    (pod,) = [one for one in chosen if one.startswith("pod/payment-api-")]
    key = f"seatrial-{ending.folder.run_id}-{SERVER}".lower()
    assert chosen == {pod, f"envoyfilter/{key}"}
    whats = [e.what for e in effects[SERVER]]
    assert whats == ["injected", "injected", "verified", "removed", "removed", "gone"]
    assert [e.what for e in effects[DENY]] == ["injected", "verified", "removed", "gone"]
    assert ending.left == NOTHING
    findings = json.loads(ending.folder.evaluation_path.read_text())["findings"]
    proofs = [one for one in findings if one["check"].startswith("fault-")]
    assert [one["verdict"] for one in proofs] == ["pass"] * 9, proofs
