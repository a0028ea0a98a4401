"""kubectl, as people have it, against the API server as a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_kubectl_verbs import VERBS, Verb
from api_rig import (
    KUBECTL_S,
    FakeKubelet,
    Kubectl,
    Server,
    api_server,
    deployment,
    seed,
)

pytestmark = [pytest.mark.sandbox, pytest.mark.kubectl]

Obj = dict[str, Any]
_numbers = iter(range(10_000))


@pytest.fixture(scope="module")
def kubelet() -> Iterator[FakeKubelet]:
    fake = FakeKubelet()
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, kubelet: FakeKubelet) -> Iterator[Server]:
    with api_server(tmp_path_factory.mktemp("api") / "sandbox-kubectl") as running:
        kubelet.token = running.api.token
        yield running


@pytest.fixture
def kubectl(server: Server, kubelet: FakeKubelet, tmp_path: Path) -> Kubectl:
    """kubectl in a namespace of its own, which holds what ``api_rig.seed`` says."""
    namespace = f"t{next(_numbers)}"
    seed(server.api, namespace, kubelet.port)
    return Kubectl(server.kubeconfig, tmp_path / "cache", namespace)


def field_of(value: Any, dotted: str) -> Any:
    for step in filter(None, re.split(r"(?<!seatrial)\.", dotted)):
        value = value[int(step)] if isinstance(value, list) else value.get(step)
        if value is None:
            return None
    return value


def words(typed: str, namespace: str) -> list[str]:
    """The arguments of a call; a JSON text stays one, and so does a label selector."""
    text = typed.replace("NS", namespace)
    return re.findall(r"(?:--type=json )?-p[= ]?\S+|app in \(web\),!x|\S+", text)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name.replace(" ", "-"))
def test_verb(verb: Verb, kubectl: Kubectl, server: Server) -> None:
    """Type the command, compare what it prints and returns, then look at the object itself."""
    typed = [
        part
        for word in words(verb.typed, kubectl.namespace)
        for part in ([word] if " in " in word else word.split(" "))
    ]
    stdin = None if verb.stdin is None else json.dumps(verb.stdin)
    done = kubectl.run(*typed, stdin=stdin)
    assert done.returncode == verb.code, done.stdout
    pattern = verb.prints.replace("NS", kubectl.namespace)
    assert re.search(pattern, done.stdout), f"{done.stdout!r} lacks {pattern!r}"
    if verb.then is None:
        return
    path, dotted, value = verb.then
    for short, long in {"core:": "/api/v1", "apps:": "/apis/apps/v1"}.items():
        path = path.replace(short, f"{long}/namespaces/NS/")
    status, answer = server.api.send("GET", path.replace("NS", kubectl.namespace))
    if not dotted:
        assert status == 404, answer
    else:
        assert field_of(answer, dotted) == value


def lines_until(process: subprocess.Popen[str], pattern: str) -> str:
    """Read what a running kubectl prints until a pattern is seen; when that is late, kill it."""
    assert process.stdout is not None
    seen = ""
    watchdog = threading.Timer(KUBECTL_S, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            seen += line
            if re.search(pattern, seen):
                return seen
    finally:
        watchdog.cancel()
    raise AssertionError(f"it ended without {pattern!r}: {seen!r}")


def test_get_watch_shows_a_change_and_ends_with_its_timeout(
    kubectl: Kubectl, server: Server
) -> None:
    """Watch pods, label one, and read its second row; then let a watch run out.

    A list is watched, because kubectl hides what happens to a single object before its watch runs.
    """
    process = kubectl.start("get", "pods", "-w", "--no-headers", "-L", "seen")
    try:
        lines_until(process, r"web-2")
        path = f"/api/v1/namespaces/{kubectl.namespace}/pods/web-1"
        server.api.merge(path, {"metadata": {"labels": {"seen": "yes"}}})
        assert "yes" in lines_until(process, r"web-1.*yes\n")
    finally:
        process.kill()
        process.communicate(timeout=5)
    done = kubectl.run("get", "pods", "-w", "--request-timeout=1s", "--no-headers")
    assert done.stdout.splitlines()[0].startswith("web-1")


def test_wait_for_delete_returns_when_the_pod_has_gone(kubectl: Kubectl, server: Server) -> None:
    """Start waiting for a pod's end, which comes while it waits."""
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/web-1"
    held = {"metadata": {"finalizers": ["test/hold"]}}
    server.api.merge(path, held)
    assert server.api.send("DELETE", path)[0] == 200
    process = kubectl.start("wait", "pod/web-1", "--for=delete", "--timeout=10s")
    time.sleep(0.3)
    assert process.poll() is None
    server.api.merge(path, {"metadata": {"finalizers": None}})
    output, _ = process.communicate(timeout=10)
    assert output == "pod/web-1 condition met\n"
    assert process.returncode == 0


def test_delete_waits_until_the_kubelet_has_ended_the_pod(kubectl: Kubectl, server: Server) -> None:
    """``delete`` with grace blocks while the pod is terminating, and ends with it."""
    process = kubectl.start("delete", "pod", "web-1", "--grace-period=30")
    lines_until(process, r'pod "web-1" deleted')
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/web-1"
    assert kubectl.run("get", "pod", "web-1").stdout.split()[7] == "Terminating"
    assert process.poll() is None
    assert server.api.send("DELETE", f"{path}?gracePeriodSeconds=0")[0] == 200
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_rollout_status_follows_the_status_of_the_deployment(
    kubectl: Kubectl, server: Server
) -> None:
    """It waits while replicas are not updated, and ends when the status says so."""
    path = f"/apis/apps/v1/namespaces/{kubectl.namespace}/deployments/web/status"
    partial = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 1}
    server.api.merge(path, {"status": partial})
    process = kubectl.start("rollout", "status", "deploy/web", "--timeout=10s")
    lines_until(process, r"1 out of 2 new replicas have been updated")
    full = {"updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    server.api.merge(path, {"status": full})
    output, _ = process.communicate(timeout=10)
    assert output.endswith('deployment "web" successfully rolled out\n')
    assert process.returncode == 0


def test_apply_keeps_what_others_changed_and_removes_what_it_left_out(
    kubectl: Kubectl, server: Server
) -> None:
    """Client-side apply twice: a field dropped from the file goes, a foreign one stays."""
    body = deployment("fresh")
    body["metadata"]["annotations"] = {"mine": "1"}
    assert "created" in kubectl.run("apply", "-f", "-", stdin=json.dumps(body)).stdout
    assert "unchanged" in kubectl.run("apply", "-f", "-", stdin=json.dumps(body)).stdout
    kubectl.run("annotate", "deploy", "fresh", "theirs=2")
    del body["metadata"]["annotations"]
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    assert "configured" in kubectl.run("apply", "-f", "-", stdin=json.dumps(body)).stdout
    path = f"/apis/apps/v1/namespaces/{kubectl.namespace}/deployments/fresh"
    live = server.api.get(path)
    annotations = live["metadata"]["annotations"]
    assert {name for name in annotations if "kubectl" not in name} == {"theirs"}
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "a:2"
    assert live["metadata"]["generation"] == 2


def test_server_side_apply_conflicts_until_forced(kubectl: Kubectl, server: Server) -> None:
    """Another manager scales; applying the old number fails, names it, and succeeds by force."""
    body = json.dumps(deployment("fresh"))
    assert kubectl.run("apply", "--server-side", "-f", "-", stdin=body).returncode == 0
    kubectl.run("scale", "deploy", "fresh", "--replicas=6")
    refused = kubectl.run("apply", "--server-side", "-f", "-", stdin=body)
    assert refused.returncode == 1
    assert 'conflict with "kubectl" with subresource "scale"' in refused.stdout
    assert ".spec.replicas" in refused.stdout
    path = f"/apis/apps/v1/namespaces/{kubectl.namespace}/deployments/fresh"
    assert server.api.get(path)["spec"]["replicas"] == 6
    forced = kubectl.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=body)
    assert forced.returncode == 0, forced.stdout
    assert server.api.get(path)["spec"]["replicas"] == 2


def test_edit_saves_what_the_editor_wrote(kubectl: Kubectl, server: Server, tmp_path: Path) -> None:
    """``edit`` with an editor that replaces one text."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/shop:1/shop:9/ "$1"\n')
    editor.chmod(0o755)
    done = kubectl.run("edit", "deploy", "web", KUBE_EDITOR=str(editor))
    assert done.stdout == "deployment.apps/web edited\n"
    live = server.api.get(f"/apis/apps/v1/namespaces/{kubectl.namespace}/deployments/web")
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "seatrial.dev/shop:9"


def test_autoscalers_are_listed_and_described(kubectl: Kubectl, server: Server) -> None:
    """Autoscale, give it the status that a controller would, and read both views of it."""
    kubectl.run("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu-percent=60")
    group = f"/apis/autoscaling/v2/namespaces/{kubectl.namespace}/horizontalpodautoscalers"
    current = {"averageUtilization": 24, "averageValue": "12m"}
    seen = {"type": "Resource", "resource": {"name": "cpu", "current": current}}
    status = {"currentReplicas": 2, "desiredReplicas": 3, "currentMetrics": [seen]}
    server.api.merge(f"{group}/web/status", {"status": status})
    row = r"web +Deployment/web +cpu: 24%/60% +2 +5 +2 +\d+s\n"
    assert re.search(row, kubectl.run("get", "hpa").stdout)
    told = kubectl.run("describe", "hpa", "web").stdout
    assert re.search(
        r"resource cpu on pods +\(as a percentage of request\): +24% \(12m\) / 60%", told
    )
    assert re.search(r"Deployment pods: +2 current / 3 desired", told)
    old = kubectl.run("get", "horizontalpodautoscalers.v1.autoscaling", "web", "-o", "yaml").stdout
    assert "targetCPUUtilizationPercentage: 60" in old


def test_a_disruption_budget_stops_a_drain(kubectl: Kubectl, server: Server) -> None:
    """With two pods and two wanted, a drain is refused until the budget is gone."""
    kubectl.run("create", "pdb", "guard", "--selector=app=web", "--min-available=2")
    node_name = f"node-{kubectl.namespace}"
    refused = kubectl.run("drain", node_name, "--timeout=1s")
    assert refused.returncode == 1
    assert "Cannot evict pod as it would violate the pod's disruption budget" in refused.stdout
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods"
    assert len(server.api.get(path)["items"]) == 2
    kubectl.run("delete", "pdb", "guard")
    assert kubectl.run("drain", node_name, "--timeout=10s").returncode == 0
    assert server.api.get(path)["items"] == []


def test_events_are_shown_with_their_object_and_by_describe(
    kubectl: Kubectl, server: Server
) -> None:
    """One event about a pod is seen by ``events``, ``get events`` and ``describe``."""
    namespace = kubectl.namespace
    live = server.api.get(f"/api/v1/namespaces/{namespace}/pods/web-1")
    about = {"kind": "Pod", "name": "web-1", "namespace": namespace, "apiVersion": "v1"}
    about["uid"] = live["metadata"]["uid"]
    stamp = live["metadata"]["creationTimestamp"]
    event = {
        "metadata": {"name": "web-1.one"},
        "involvedObject": about,
        "reason": "Killing",
        "message": "it was told to go",
        "type": "Warning",
        "count": 3,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "source": {"component": "kubelet"},
    }
    server.api.post(f"/api/v1/namespaces/{namespace}/events", event)
    row = r"Warning +Killing +[Pp]od/web-1 +it was told to go"
    assert re.search(row, kubectl.run("events", "--for=pod/web-1").stdout)
    assert re.search(row, kubectl.run("get", "events").stdout)
    described = kubectl.run("describe", "pod", "web-1").stdout
    assert re.search(r"Warning +Killing +.*\(x3 over .*kubelet +it was told to go", described)
    assert "No events" in kubectl.run("events", "--for=pod/web-2").stdout


def test_a_stale_replace_is_a_conflict(kubectl: Kubectl, server: Server) -> None:
    """``replace`` with an old resourceVersion is refused and changes nothing."""
    path = f"/apis/apps/v1/namespaces/{kubectl.namespace}/deployments/web"
    stale = server.api.get(path)
    server.api.merge(path, {"spec": {"replicas": 3}})
    done = kubectl.run("replace", "-f", "-", stdin=json.dumps(stale))
    assert done.returncode == 1
    assert "the object has been modified; please apply your changes" in done.stdout
    assert server.api.get(path)["spec"]["replicas"] == 3


def test_the_table_covers_enough() -> None:
    """The issue asks for at least 35 verbs; none may be listed twice."""
    names = [verb.name for verb in VERBS]
    assert len(names) == len(set(names)) >= 35
