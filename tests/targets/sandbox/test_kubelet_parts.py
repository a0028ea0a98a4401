"""The kubelet's pure parts: pod status, back-off, probes, log selection, the node."""

from __future__ import annotations

from typing import Any

import pytest

from runner.targets.sandbox.kubelet_logs import select_lines
from runner.targets.sandbox.node import node_object, node_status
from runner.targets.sandbox.pods import condition, seconds_of
from runner.targets.sandbox.podstatus import (
    BackOff,
    ContainerFacts,
    Running,
    State,
    Terminated,
    Waiting,
    exit_of,
    must_restart,
    pod_status,
)
from runner.targets.sandbox.probes import Probe, ProbeVerdict, read_probe

NOW = seconds_of("2026-01-01T00:00:10Z")
START = NOW - 10
END = Terminated(1, "Error", START, NOW)


def facts(state: State, *, ready: bool = False, **more: Any) -> ContainerFacts:
    return ContainerFacts("app", "i", state, ready=ready, **more)


def status_of(*containers: ContainerFacts, before: dict[str, Any] | None = None) -> dict[str, Any]:
    pod = {"status": before or {}}
    return pod_status(pod, containers, address="127.64.0.2", started_s=START, now_s=NOW)


@pytest.mark.parametrize(
    ("states", "phase"),
    [
        ([facts(Waiting("ContainerCreating")), facts(Running(START))], "Pending"),
        ([facts(Running(START)), facts(Running(START))], "Running"),
        ([facts(Waiting("CrashLoopBackOff"), last=END), facts(Running(START))], "Running"),
        ([facts(END), facts(Running(START))], "Running"),
        ([facts(END), facts(Terminated(0, "Completed", START, NOW))], "Failed"),
        ([facts(Terminated(0, "Completed", START, NOW))], "Succeeded"),
    ],
)
def test_phases(states: list[ContainerFacts], phase: str) -> None:
    """The phase follows from the containers' states as in Kubernetes."""
    assert status_of(*states)["phase"] == phase


def test_a_pod_is_ready_when_all_containers_are() -> None:
    """One of two ready: not ready, and the message names the other."""
    half = status_of(facts(Running(START), ready=True), ContainerFacts("proxy", "p"))
    ready = condition({"status": half}, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [proxy]"
    whole = status_of(facts(Running(START), ready=True))
    assert condition({"status": whole}, "Ready")["status"] == "True"
    assert (whole["podIP"], whole["startTime"]) == ("127.64.0.2", "2026-01-01T00:00:00Z")


def test_a_condition_keeps_its_time_while_it_holds() -> None:
    """The transition time moves with the status and not with every look."""
    first = status_of(facts(Running(START), ready=True))
    condition({"status": first}, "Ready")["lastTransitionTime"] = "then"  # type: ignore[index]
    same = status_of(facts(Running(START), ready=True), before=first)
    assert condition({"status": same}, "Ready")["lastTransitionTime"] == "then"
    other = status_of(facts(Running(START)), before=first)
    assert condition({"status": other}, "Ready")["lastTransitionTime"] == "2026-01-01T00:00:10Z"


def test_the_states_of_a_container() -> None:
    """Waiting, running and terminated containers are shown as Kubernetes shows them."""
    loop = Waiting("CrashLoopBackOff", "back-off 10s")
    killed = exit_of(-9, START, NOW)
    (shown,) = status_of(facts(loop, last=killed, restarts=3))["containerStatuses"]
    assert shown["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}
    assert shown["lastState"] == {
        "terminated": {
            "exitCode": 137,
            "signal": 9,
            "reason": "Error",
            "startedAt": "2026-01-01T00:00:00Z",
            "finishedAt": "2026-01-01T00:00:10Z",
        }
    }
    assert (shown["restartCount"], shown["ready"], shown["started"]) == (3, False, False)


def test_how_a_process_ended() -> None:
    """Exit 0 completed, another code is an error, the memory limit has its own reason."""
    assert exit_of(0, START, NOW).reason == "Completed"
    assert exit_of(2, START, NOW)[:2] == (2, "Error")
    assert exit_of(-9, START, NOW, oom=True)[:2] == (137, "OOMKilled")


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_restart_policies(policy: str, code: int, again: bool) -> None:
    """Who is started again after which end."""
    assert must_restart(policy, exit_of(code, START, NOW)) is again


def test_the_back_off_doubles_up_to_its_cap() -> None:
    """Kubernetes' row: at once, 10, 20, 40, … and never above 300 s, however often."""
    delays = [BackOff().delay_s(crashes) for crashes in (1, 2, 3, 4, 6, 7, 8, 5000)]
    assert delays == [0.0, 10.0, 20.0, 40.0, 160.0, 300.0, 300.0, 300.0]


def test_a_probe_with_kubernetes_defaults_and_a_named_port() -> None:
    """Only path and port are given: the rest is Kubernetes' default."""
    container = {
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
    }
    expected = Probe("/healthz", 8080, 0.0, 10.0, 1.0, 1, 3)
    assert read_probe(container, "readinessProbe") == expected
    assert read_probe(container, "livenessProbe") is None
    container["readinessProbe"] = {"httpGet": {"port": "nowhere"}}
    with pytest.raises(ValueError, match="no port named 'nowhere'"):
        read_probe(container, "readinessProbe")


def test_a_probe_needs_its_thresholds() -> None:
    """Two answers in a row make ready, three failures in a row make unready again."""
    verdict = ProbeVerdict(Probe("/", 1, 0, 1, 1, 2, 3), initially=False)
    answers = [True, False, True, True, False, False, True, False, False, False]
    assert [verdict.observe(each) for each in answers] == [
        *(False, False, False, True),
        *(True, True, True, True, True, False),
    ]


LOG = (
    b"2026-01-01T00:00:01.000Z first\n"
    b"2026-01-01T00:00:05.500Z second\n  continued\n"
    b"2026-01-01T00:00:09.000Z third\n"
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, LOG),
        ({"tailLines": "1"}, b"2026-01-01T00:00:09.000Z third\n"),
        ({"tailLines": "0"}, b""),
        ({"sinceSeconds": "5"}, LOG[LOG.index(b"2026-01-01T00:00:05") :]),
        ({"sinceTime": "2026-01-01T00:00:06Z"}, b"2026-01-01T00:00:09.000Z third\n"),
        ({"sinceTime": "2026-01-02T00:00:00Z"}, b""),
        ({"limitBytes": "10"}, b"2026-01-01"),
        ({"sinceSeconds": "5", "tailLines": "2"}, LOG[LOG.index(b"  continued") :]),
    ],
)
def test_which_lines_of_a_log(query: dict[str, str], expected: bytes) -> None:
    """kubectl's tail, since and limit select lines; continuations stay with their line."""
    assert select_lines(LOG, query, NOW) == expected


def test_unreadable_log_queries_are_refused() -> None:
    """A number or time that is none is the caller's mistake."""
    for query in ({"tailLines": "x"}, {"sinceSeconds": "x"}, {"sinceTime": "yesterday"}):
        with pytest.raises(ValueError):  # noqa: PT011 - Python's own messages
            select_lines(LOG, query, NOW)


def test_each_node_has_a_name_and_a_zone_of_its_own() -> None:
    """A drain needs another node; what spreads over zones needs another zone."""
    made = [node_object(name) for name in ("sandbox-node", "sandbox-node-2")]
    labels = [node["metadata"]["labels"] for node in made]
    assert [each["topology.kubernetes.io/zone"] for each in labels] == ["sandbox", "sandbox-2"]
    assert [each["kubernetes.io/hostname"] for each in labels] == ["sandbox-node", "sandbox-node-2"]
    status = node_status(1, NOW, START, ready=True, name="sandbox-node-2")
    assert status["addresses"][1]["address"] == "sandbox-node-2"


def test_the_node_tells_where_its_kubelet_is() -> None:
    """The API server finds the log endpoint through these two fields."""
    status = node_status(12345, NOW, START, ready=True)
    assert status["addresses"][0] == {"type": "InternalIP", "address": "127.0.0.1"}
    assert status["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 12345
    ready = condition({"status": status}, "Ready")
    assert (ready["status"], ready["lastTransitionTime"]) == ("True", "2026-01-01T00:00:00Z")
    assert condition({"status": status}, "MemoryPressure")["status"] == "False"
