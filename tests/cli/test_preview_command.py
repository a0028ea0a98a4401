"""``plan`` and ``run --dry-run`` against a real API server: what they show, and that they touch
nothing; and a ``run`` that is refused for the same reasons."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from as_user import grant, kubeconfig_as
from bare_api import BareApi
from chaos_objects import Object, pod, service, virtual_service
from fake_prometheus import send, server, vector

from runner.model.rights import HOLD, LOOK, LOOK_MORE, all_rights

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.sandbox

EXPERIMENTS = {
    "break": """\
name: break
description: A question.
load: {locustfile: shop.py, stages: [{duration: 2m, users: 1}]}
faults:
  - {kind: pod-kill, service: order-api, at: 10s, duration: 20s}
  - {kind: http-abort, service: order-api, at: 40s, duration: 20s, status: 503}
objectives: [errors < 50%]
"""
}
LABEL = {"seatrial.dev/inject": "enabled"}
NEEDED = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: seatrial
  namespace: break
rules:
- apiGroups: [""]
  resources: [pods]
  verbs: [delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get]
- apiGroups: [networking.istio.io]
  resources: [virtualservices]
  verbs: [get, update]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list]
"""


def moved(obj: Object) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "namespace": "break"}}


@pytest.fixture(scope="module")
def namespace(bare_api: BareApi) -> str:
    """A namespace ``break`` with a service of two ready pods and a route to it."""
    api = bare_api.core
    api.create_namespace({"metadata": {"name": "break", "labels": LABEL}})
    api.create_namespaced_service("break", moved(service("order-api")))
    addresses = [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]
    ends = {"metadata": {"name": "order-api"}, "subsets": [{"addresses": addresses}]}
    api.create_namespaced_endpoints("break", ends)
    for letter in "ab":
        one = moved(pod(f"order-api-{letter}"))
        one["metadata"].pop("uid")
        one["metadata"].pop("ownerReferences")
        one["spec"]["containers"].append({"name": "istio-proxy", "image": "envoy"})
        api.create_namespaced_pod("break", one)
        status = {"status": {**one["status"], "podIP": "10.0.0.1"}}
        api.patch_namespaced_pod_status(one["metadata"]["name"], "break", status)
    group = ("networking.istio.io", "v1", "break", "virtualservices")
    bare_api.custom.create_namespaced_custom_object(*group, moved(virtual_service("order-api")))
    return "break"


@pytest.fixture
def prometheus() -> Iterator[str]:
    """A Prometheus for which nothing fires, and an ingress that answers."""

    def respond(handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        asked = query.get("query", "")
        if asked == "time()":
            now = {"resultType": "scalar", "result": [time.time(), str(time.time())]}
            send(handler, json.dumps({"status": "success", "data": now}).encode())
        else:
            send(handler, vector("1") if "vector(1)" in asked else vector())

    with server(respond) as url:
        yield url


@pytest.fixture
def where(bare_api: BareApi, namespace: str, prometheus: str, folder: Path) -> list[str]:
    """The flags of the target."""
    flags = {
        "context": "seatrial-bare",
        "kubeconfig": str(bare_api.kubeconfig),
        "namespace": namespace,
        "ingress": prometheus,
        "prometheus": prometheus,
    }
    return [word for key, value in flags.items() for word in (f"--{key}", value)]


def version(api: BareApi) -> str:
    """The version of the whole store: every write, of anything, raises it."""
    return str(api.core.list_namespace().metadata.resource_version)


def test_a_preview_shows_pods_and_diffs_and_writes_nothing(
    run: Run, bare_api: BareApi, where: list[str]
) -> None:
    """Goal: all is known before, and nothing is done.

    Method: both commands, which draw the same pods; the server's version of its store.
    """
    before, previews = version(bare_api), []
    for command in (["plan"], ["run", "--dry-run"]):
        code, out, err = run(*command, "break", *where, "-o", "json")
        previews.append(json.loads(out)["preview"])
        assert (code, previews[-1]["refusals"]) == (0, []), err
    assert version(bare_api) == before
    kill, abort = previews[0]["faults"]
    pods = bare_api.core.list_namespaced_pod("break").items
    assert {p["name"]: p["uid"] for p in kill["pods"]} == {
        p.metadata.name: p.metadata.uid for p in pods
    }
    assert sum(p["chosen"] for p in kill["pods"]) == 1
    assert previews[1]["faults"][0] == kill
    assert [c["subject"] for c in abort["changes"]] == ["virtualservice/order-api"]
    assert "+        httpStatus: 503\n" in abort["changes"][0]["diff"]


def test_a_namespace_that_does_not_opt_in_is_refused(
    run: Run, bare_api: BareApi, where: list[str], folder: Path, prometheus: str
) -> None:
    """Goal: the owner's word counts. Method: without the label; then a file that does not ask."""
    body: dict[str, Any] = {"metadata": {"labels": {"seatrial.dev/inject": None}}}
    bare_api.core.patch_namespace("break", body)
    try:
        code, out, _ = run("plan", "break", *where)
        assert code == 3
        assert "`kubectl label namespace break seatrial.dev/inject=enabled`" in out
        assert "A run would be refused. Nothing was touched." in out
        target = {
            "context": "seatrial-bare",
            "kubeconfig": str(bare_api.kubeconfig),
            "namespace": "break",
            "ingress": prometheus,
            "prometheus": prometheus,
            "require_opt_in": False,
        }
        (folder / "seatrial.yaml").write_text(json.dumps({"targets": {"bare": target}}))
        code, out, _ = run("plan", "break", "--target", "bare")
        assert code == 0
        assert "seatrial.yaml says `require_opt_in: false`" in out
    finally:
        bare_api.core.patch_namespace("break", {"metadata": {"labels": LABEL}})


def test_what_is_forbidden_is_shown_with_the_role_that_grants_it(
    run: Run, bare_api: BareApi, where: list[str], tmp_path: Path
) -> None:
    """Goal: no run begins that could not undo its faults.

    Method: a user who may look at everything and do nothing; a plan, then a run, then the rights
    that the plan asked for.
    """
    grant(bare_api, "reader", [*LOOK, *LOOK_MORE, *HOLD], "break")
    as_reader = list(where)
    at = as_reader.index("--kubeconfig") + 1
    as_reader[at] = str(kubeconfig_as(bare_api, "reader", tmp_path))
    missing = (
        "missing permissions in break: delete pods, get services, get "
        "virtualservices.networking.istio.io, update virtualservices.networking.istio.io, list "
        "poddisruptionbudgets.policy"
    )
    code, out, err = run("plan", "break", *as_reader, "-o", "json")
    preview = json.loads(out)["preview"]
    assert code == 3, err
    assert [one for one in preview["refusals"] if one.startswith(missing)]
    assert preview["role"] == NEEDED
    code, _, err = run("run", "break", *as_reader)
    assert code == 3
    assert missing in " ".join(err.split())
    grant(bare_api, "writer", all_rights(), "break")
    as_reader[at] = str(kubeconfig_as(bare_api, "writer", tmp_path))
    code, out, err = run("plan", "break", *as_reader, "-o", "json")
    assert (code, json.loads(out)["preview"]["refusals"]) == (0, []), err
