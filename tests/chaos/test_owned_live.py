"""Faults that are objects of their own, and labels on pods, against an API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bare_api import NAMESPACE, BareApi, users_part
from chaos_objects import pod, service

from runner.chaos import actions, probes
from runner.chaos.client import KubeCluster
from runner.chaos.heal import Scope, heal
from runner.chaos.objects import ENVOY_FILTERS, NETWORK_POLICIES, PODS

pytestmark = pytest.mark.sandbox

Object = dict[str, Any]
SERVICE = "owned-api"
KEY = "seatrial-run-9-01-x"
CHAOS = (sys.executable, "-m", "chaostoolkit", "--no-version-check", "--no-log-file")


@pytest.fixture
def cluster(bare_api: BareApi) -> Iterator[KubeCluster]:
    """Two ready pods with Istio's proxy, and their Service."""
    made = service(SERVICE)
    bare_api.core.create_namespaced_service(NAMESPACE, made)
    for letter in "ab":
        body = pod(f"{SERVICE}-{letter}")
        body["metadata"] |= {"labels": {"app": SERVICE}, "annotations": {"user": "his"}}
        del body["metadata"]["uid"], body["metadata"]["ownerReferences"]
        body["spec"]["containers"].append({"name": "istio-proxy", "image": "proxy"})
        status = body.pop("status")
        bare_api.core.create_namespaced_pod(NAMESPACE, body)
        name = body["metadata"]["name"]
        bare_api.core.patch_namespaced_pod_status(name, NAMESPACE, {"status": status})
    yield KubeCluster(str(bare_api.kubeconfig))
    bare_api.core.delete_namespaced_service(SERVICE, NAMESPACE, _preload_content=False)
    for letter in "ab":
        bare_api.core.delete_namespaced_pod(
            f"{SERVICE}-{letter}", NAMESPACE, grace_period_seconds=0, _preload_content=False
        )


@pytest.fixture
def where(bare_api: BareApi, tmp_path: Path) -> Object:
    return {
        "namespace": NAMESPACE,
        "run": "Run-9",
        "fault": "01-x",
        "kubeconfig": str(bare_api.kubeconfig),
        "effects": str(tmp_path / "effects.jsonl"),
    }


def pods(cluster: KubeCluster) -> list[Object]:
    return [users_part(one) for one in cluster.items(PODS, NAMESPACE, f"app={SERVICE}")]


@pytest.mark.parametrize("undo", ["remove", "heal"])
def test_chosen_pod_is_broken_and_made_whole_again(
    cluster: KubeCluster, where: Object, undo: str
) -> None:
    """Goal: the whole life on an API server. Method: one of two pods; what is there meanwhile;
    undone by the rollback or by heal, from nothing but names; every byte of the pods is back."""
    before = pods(cluster)
    made = actions.abort_inbound_requests(service=SERVICE, status=503, count=1, seed=1, **where)
    assert made[0] == f"envoyfilter/{KEY}"
    assert len(made) == 2
    assert probes.inbound_fault_is_in_place(**where)
    assert sum(one != was for one, was in zip(pods(cluster), before, strict=True)) == 1
    (body,) = cluster.items(ENVOY_FILTERS, NAMESPACE)
    (label,) = body["spec"]["workloadSelector"]["labels"]
    assert len(cluster.items(PODS, NAMESPACE, f"{label}=true")) == 1
    if undo == "remove":
        assert actions.remove_fault(kinds=["envoyfilters", "pods"], **where) == made
    else:
        healed = heal(cluster, Scope(NAMESPACE, run="Run-9"))
        assert [text.removesuffix(f" in {NAMESPACE}") for text in healed.removed] == made
        assert healed.left == []
    assert probes.fault_is_gone(**where)
    assert pods(cluster) == before
    assert cluster.items(ENVOY_FILTERS, NAMESPACE) == []


def test_forbidden_traffic_comes_and_goes(cluster: KubeCluster, where: Object) -> None:
    """Goal: the object is one that the API takes. Method: made, read back, removed, on record."""
    made = actions.deny_network(service=SERVICE, direction="both", **where)
    assert made == [f"networkpolicy/{KEY}", f"pod/{SERVICE}-a", f"pod/{SERVICE}-b"]
    assert probes.network_is_denied(**where)
    (body,) = cluster.items(NETWORK_POLICIES, NAMESPACE)
    assert body["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert actions.remove_fault(**where) == made[:1]
    assert actions.remove_fault(**where) == []
    assert cluster.items(NETWORK_POLICIES, NAMESPACE) == []
    lines = map(json.loads, Path(where["effects"]).read_text().splitlines())
    assert [line["what"] for line in lines] == ["injected", "verified", "removed"]


def test_plain_chaos_run_needs_no_bookkeeping(
    bare_api: BareApi, cluster: KubeCluster, tmp_path: Path
) -> None:
    """Goal: usable from anybody's experiment. Method: one by hand, with the least arguments, run by
    `chaos run`: a fault in front of pods and forbidden traffic, each proved and removed."""
    here = {"namespace": NAMESPACE}
    what = here | {"service": SERVICE}
    abort, deny = {"fault": f"http-abort-{SERVICE}"}, {"fault": f"network-deny-{SERVICE}"}

    def activity(kind: str, function: str, arguments: Object) -> Object:
        module = f"runner.chaos.{kind}s"
        provider = {"type": "python", "module": module, "func": function, "arguments": arguments}
        return {"type": kind, "name": function, "provider": provider}

    experiment: Object = {
        "title": "Somebody's own",
        "description": "With our actions.",
        "method": [
            activity("probe", "pods_have_proxies", what),
            activity("action", "abort_inbound_requests", what | {"status": 503}),
            activity("probe", "inbound_fault_is_in_place", here | abort),
            activity("action", "deny_network", what),
            activity("probe", "network_is_denied", here | deny),
            activity("action", "remove_fault", here | deny),
        ],
        "rollbacks": [
            activity("action", "remove_fault", here | abort),
            activity("probe", "fault_is_gone", here | abort),
        ],
    }
    before = pods(cluster)
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(experiment))
    journal = tmp_path / "journal.json"
    done = subprocess.run(
        [*CHAOS, "run", "--rollback-strategy", "always", "--journal-path", str(journal), str(path)],
        env={**os.environ, "KUBECONFIG": str(bare_api.kubeconfig)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    played = json.loads(journal.read_text())
    steps = [*played["run"], *played["rollbacks"]]
    assert {step["activity"]["name"]: step["status"] for step in steps} == dict.fromkeys(
        (one["name"] for one in (*experiment["method"], *experiment["rollbacks"])), "succeeded"
    )
    assert steps[1]["output"][0] == f"envoyfilter/seatrial-by-hand-http-abort-{SERVICE}"
    assert cluster.items(ENVOY_FILTERS, NAMESPACE) == []
    assert cluster.items(NETWORK_POLICIES, NAMESPACE) == []
    assert pods(cluster) == before
