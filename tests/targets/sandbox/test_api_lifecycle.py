"""Creating and changing objects in the store: the rules a client relies on."""

from __future__ import annotations

from typing import Any

import pytest
from api_rig import deployment, pod
from api_store_rig import (
    CONFIGMAPS,
    DEPLOYMENTS,
    ME,
    STATUS,
    Obj,
    at,
    make,
    new_store,
    running,
    update,
)

from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import BY_PLURAL, NAMESPACES, PODS, SERVICES, Kind
from runner.targets.sandbox.apiserver.lifecycle import WriteOptions, bare, create, replace
from runner.targets.sandbox.apiserver.selectors import object_test, structured_test
from runner.targets.sandbox.apiserver.store import Store
from runner.targets.sandbox.apiserver.subresources import bind, scale_of, set_scale


@pytest.fixture
def store() -> Store:
    return new_store()


def test_a_new_object_gets_its_identity_and_defaults(store: Store) -> None:
    """UID, times, generation 1, defaults of the spec, a first status; what was made up goes."""
    body = deployment()
    body["metadata"] |= {"uid": "mine", "generation": 7, "deletionTimestamp": "2020"}
    body["status"] = {"replicas": 99}
    made = make(store, DEPLOYMENTS, body)
    assert made["metadata"]["uid"] != "mine"
    assert made["metadata"]["generation"] == 1
    assert "deletionTimestamp" not in made["metadata"]
    assert made["status"] == {}
    assert made["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": "25%", "maxSurge": "25%"}
    assert made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_generated_names_have_five_letters_and_differ(store: Store) -> None:
    """``generateName`` is kept as a prefix and shown."""
    bodies = [{"metadata": {"generateName": "web-"}, "spec": pod("x")["spec"]} for _ in range(2)]
    names = {make(store, PODS, body)["metadata"]["name"] for body in bodies}
    assert len(names) == 2
    assert {(name[:4], len(name)) for name in names} == {("web-", 9)}


def test_generation_follows_the_spec_only(store: Store) -> None:
    """Labels and status leave it, another spec raises it, an equal write changes nothing at all."""
    make(store, DEPLOYMENTS, deployment())
    labelled = update(store, DEPLOYMENTS, "web", metadata={"labels": {"x": "y"}})
    reported = update(store, DEPLOYMENTS, "web", STATUS, status={"replicas": 2})
    scaled = update(store, DEPLOYMENTS, "web", spec=labelled["spec"] | {"replicas": 5})
    again = update(store, DEPLOYMENTS, "web")
    generations = [one["metadata"]["generation"] for one in (labelled, reported, scaled, again)]
    assert generations == [1, 1, 2, 2]
    assert again["metadata"]["resourceVersion"] == scaled["metadata"]["resourceVersion"]


def test_spec_and_status_are_written_through_their_own_doors(store: Store) -> None:
    """A write of the object leaves its status; a write of the status leaves its spec."""
    make(store, DEPLOYMENTS, deployment())
    update(store, DEPLOYMENTS, "web", STATUS, status={"replicas": 2}, spec={"replicas": 9})
    live = update(store, DEPLOYMENTS, "web", status={"replicas": 77})
    assert (live["spec"]["replicas"], live["status"]) == (2, {"replicas": 2})


def test_identity_cannot_be_changed(store: Store) -> None:
    """UID of another incarnation conflicts; creation time and generation are kept."""
    made = make(store, CONFIGMAPS, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    with pytest.raises(StatusError, match="UID in precondition: other") as refused:
        update(store, CONFIGMAPS, "c", metadata={"uid": "other"})
    assert refused.value.code == 409
    live = update(store, CONFIGMAPS, "c", metadata={"creationTimestamp": "1999"}, data={"a": "2"})
    assert live["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]


def test_a_dry_run_answers_and_stores_nothing(store: Store) -> None:
    """The answer is complete; the version counter does not move."""
    before = store.version
    dry = WriteOptions(manager="me", dry_run=True)
    shown = create(store, at(DEPLOYMENTS), deployment(), dry)
    assert shown["metadata"]["generation"] == 1
    assert (store.version, store.get(DEPLOYMENTS, "n", "web")) == (before, None)


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (DEPLOYMENTS, {"spec": {"replicas": -1}}, "spec.replicas"),
        (DEPLOYMENTS, {"spec": {"selector": None}}, "spec.selector"),
        (DEPLOYMENTS, {"spec": {"selector": {"matchLabels": {"app": "x"}}}}, "template.metadata"),
        (PODS, {"spec": {"containers": []}}, "spec.containers"),
        (PODS, {"spec": {"containers": [{"name": "a"}]}}, "spec.containers[0].image"),
        (PODS, {"spec": {"containers": [{"name": "a", "image": "i"}] * 2}}, "containers[1].name"),
        (SERVICES, {"spec": {"ports": []}}, "spec.ports"),
        (SERVICES, {"spec": {"ports": [{"port": 70000}]}}, "spec.ports[0].port"),
        (CONFIGMAPS, {"metadata": {"labels": {"a b": "1"}}}, "metadata.labels"),
        (CONFIGMAPS, {"metadata": {"labels": {"a": "-"}}}, "metadata.labels"),
        (CONFIGMAPS, {"metadata": {"annotations": {"a": "x" * 300_000}}}, "metadata.annotations"),
    ],
)
def test_invalid_objects_are_refused_with_the_field(
    store: Store, kind: Kind, body: Obj, field: str
) -> None:
    """Each is one field away from a valid object; the Status names it."""
    valid = {"deployments": deployment(), "pods": pod("web")}.get(kind.plural, {})
    spec = valid.get("spec", {}) | body.get("spec", {})
    whole = {"metadata": {"name": "web"} | body.get("metadata", {}), "spec": spec}
    with pytest.raises(StatusError) as refused:
        make(store, kind, whole)
    assert refused.value.code == 422
    assert field in refused.value.details["causes"][0]["field"]


@pytest.mark.parametrize(
    ("kind", "name", "valid"),
    [
        (CONFIGMAPS, "a.b-c", True),
        (CONFIGMAPS, "A", False),
        (CONFIGMAPS, "a_b", False),
        (CONFIGMAPS, "-a", False),
        (CONFIGMAPS, "a\n", False),
        (CONFIGMAPS, "a" * 254, False),
        (SERVICES, "1a", False),
        (SERVICES, "a.b", False),
        (NAMESPACES, "1a", True),
        (NAMESPACES, "a" * 64, False),
        (BY_PLURAL["rbac.authorization.k8s.io", "roles"], "system:Any", True),
        (BY_PLURAL["rbac.authorization.k8s.io", "roles"], "a/b", False),
    ],
)
def test_names(store: Store, kind: Kind, name: str, valid: bool) -> None:
    """RFC 1123 for most, RFC 1035 for services, labels for namespaces, anything for roles."""
    body: Obj = {"metadata": {"name": name}}
    if kind is SERVICES:
        body["spec"] = {"ports": [{"port": 80}]}
    if valid:
        assert make(store, kind, body)["metadata"]["name"] == name
    else:
        with pytest.raises(StatusError) as refused:
            make(store, kind, body)
        assert refused.value.details["causes"][0]["field"] == "metadata.name"


def test_a_running_pod_changes_its_image_and_nothing_else(store: Store) -> None:
    """As in Kubernetes: the node comes by a Binding, once; a new command is forbidden."""
    live = running(store, "p")
    changed = [live["spec"]["containers"][0] | {"image": "other:1"}]
    update(store, PODS, "p", spec=live["spec"] | {"containers": changed})
    with pytest.raises(StatusError, match="pod updates may not change fields other than"):
        update(store, PODS, "p", spec=live["spec"] | {"nodeName": "elsewhere"})
    command = [live["spec"]["containers"][0] | {"command": ["sh"]}]
    with pytest.raises(StatusError, match="pod updates may not change"):
        update(store, PODS, "p", spec=live["spec"] | {"containers": command})
    with pytest.raises(StatusError, match='already assigned to node "node"'):
        bind(store, at(PODS, "p"), {"target": {"name": "x"}}, dry_run=False)


def test_services_get_addresses_of_their_own_and_keep_them(store: Store) -> None:
    """Two services differ; an update without the address keeps it."""
    first, second = (
        make(store, SERVICES, {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
        for name in ("a", "b")
    )
    address = first["spec"]["clusterIP"]
    assert address != second["spec"]["clusterIP"]
    assert first["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    body = {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 81}]}}
    assert replace(store, at(SERVICES, "a"), body, ME)["spec"]["clusterIP"] == address


def test_plain_text_of_a_secret_is_encoded(store: Store) -> None:
    """``stringData`` is never stored."""
    secret = make(
        store, BY_PLURAL["", "secrets"], {"metadata": {"name": "s"}, "stringData": {"a": "b"}}
    )
    assert (secret["data"], "stringData" in secret) == ({"a": "Yg=="}, False)


def test_scale_is_a_view_of_the_replicas(store: Store) -> None:
    """Read, set, and refuse with an old version."""
    made = make(store, DEPLOYMENTS, deployment())
    scale = scale_of(made)
    assert (scale["spec"], scale["status"]["selector"]) == ({"replicas": 2}, "app=web")
    place = at(DEPLOYMENTS, "web")
    assert set_scale(store, place, scale | {"spec": {"replicas": 4}}, ME)["spec"] == {"replicas": 4}
    with pytest.raises(StatusError, match="the object has been modified"):
        set_scale(store, place, scale, ME)


def test_the_selector_of_a_scale_chooses_the_same_pods() -> None:
    """All four operators; the text is understood by what lists objects."""
    expressions = [
        {"key": "tier", "operator": "In", "values": ["front", "back"]},
        {"key": "track", "operator": "NotIn", "values": ["canary"]},
        {"key": "app", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    scale = scale_of({"metadata": {}, "spec": {"selector": selector}})
    text = scale["status"]["selector"]
    assert text == "app=web,tier in (front,back),track notin (canary),app,!old"
    good = {"app": "web", "tier": "back"}
    for labels in (good, good | {"track": "canary"}, good | {"old": ""}, {"app": "web"}):
        chosen = object_test(text, "")({"metadata": {"labels": labels}})
        assert chosen == structured_test(selector)(labels) == (labels == good)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "Pod"}, "cannot be handled as a ConfigMap"),
        ({"apiVersion": "v9"}, "does not match the expected API version"),
        ({"metadata": {"name": "b"}}, r"\(b\) does not match the name on the URL \(a\)"),
        ({"metadata": {"namespace": "m"}}, r"\(m != n\)"),
        ({"metadata": {"ownerReferences": ["x"]}}, "ownerReferences"),
        (7, "not an object"),
    ],
)
def test_a_body_must_fit_its_url(body: Any, says: str) -> None:
    """Kind, version, name and namespace of a body are those of the URL, or absent."""
    with pytest.raises(StatusError, match=says) as refused:
        bare(at(CONFIGMAPS, "a"), body)
    assert refused.value.code == 400
