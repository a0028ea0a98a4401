"""RBAC of the sandbox's API server: what a Role allows, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from runner.targets.sandbox.apiserver.authorisation import (
    Attempt,
    attempt_of,
    may,
    require,
)
from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.kinds import BY_PLURAL, PODS
from runner.targets.sandbox.apiserver.store import Store

RBAC = "rbac.authorization.k8s.io"


def put(store: Store, plural: str, name: str, namespace: str = "", **more: Any) -> None:
    metadata = {"name": name, "uid": name} | ({"namespace": namespace} if namespace else {})
    store.put(BY_PLURAL[RBAC, plural], {"kind": "x", "metadata": metadata, **more})


def granted(rule: dict[str, Any], *, everywhere: bool = False, user: str = "ann") -> Store:
    """A store in which ``ann`` has one rule: in the namespace ``shop``, or everywhere."""
    store = Store()
    subject = {"kind": "User", "name": user}
    if everywhere:
        put(store, "clusterroles", "r", rules=[rule])
        reference = {"kind": "ClusterRole", "name": "r"}
        put(store, "clusterrolebindings", "b", subjects=[subject], roleRef=reference)
    else:
        put(store, "roles", "r", "shop", rules=[rule])
        reference = {"kind": "Role", "name": "r"}
        put(store, "rolebindings", "b", "shop", subjects=[subject], roleRef=reference)
    return store


def rule(verbs: str, resources: str, group: str = "", **more: Any) -> dict[str, Any]:
    given = {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": [group]}
    return {**given, **more}


@pytest.mark.parametrize(
    ("one", "attempt", "allowed"),
    [
        (rule("list", "pods"), Attempt("list", "", "pods", "shop"), True),
        (rule("list", "pods"), Attempt("delete", "", "pods", "shop"), False),
        (rule("list", "pods"), Attempt("list", "", "pods", "other"), False),
        (rule("list", "pods"), Attempt("list", "", "pods"), False),
        (rule("list", "pods"), Attempt("list", "apps", "pods", "shop"), False),
        (rule("*", "*", "*"), Attempt("delete", "apps", "deployments", "shop"), True),
        (rule("create", "pods"), Attempt("create", "", "pods/eviction", "shop"), False),
        (rule("create", "pods/eviction"), Attempt("create", "", "pods/eviction", "shop"), True),
        (rule("create", "pods/*"), Attempt("create", "", "pods/eviction", "shop"), True),
        (
            rule("get", "pods", resourceNames=["a"]),
            Attempt("get", "", "pods", "shop", "a"),
            True,
        ),
        (
            rule("get", "pods", resourceNames=["a"]),
            Attempt("get", "", "pods", "shop", "b"),
            False,
        ),
    ],
)
def test_what_a_role_allows(one: dict[str, Any], attempt: Attempt, allowed: bool) -> None:
    assert may(granted(one), "ann", attempt) is allowed


def test_a_cluster_role_holds_everywhere_and_for_its_subjects_only() -> None:
    """Goal: subjects are told apart. Method: another user, and a service account."""
    store = granted(rule("get", "nodes"), everywhere=True)
    assert may(store, "ann", Attempt("get", "", "nodes", "", "a"))
    assert not may(store, "bob", Attempt("get", "", "nodes", "", "a"))
    account = {"kind": "ServiceAccount", "namespace": "shop", "name": "reaper"}
    everybody = {"kind": "Group", "name": "system:authenticated"}
    reference = {"kind": "ClusterRole", "name": "r"}
    put(store, "rolebindings", "c", "shop", subjects=[account], roleRef=reference)
    assert may(store, "system:serviceaccount:shop:reaper", Attempt("get", "", "nodes", "shop"))
    assert not may(store, "system:serviceaccount:other:reaper", Attempt("get", "", "nodes", "shop"))
    put(store, "rolebindings", "d", "shop", subjects=[everybody], roleRef=reference)
    assert may(store, "bob", Attempt("get", "", "nodes", "shop"))


@pytest.mark.parametrize(
    ("method", "name", "watch", "verb"),
    [
        ("GET", "a", False, "get"),
        ("GET", "", False, "list"),
        ("GET", "", True, "watch"),
        ("POST", "", False, "create"),
        ("PUT", "a", False, "update"),
        ("PATCH", "a", False, "patch"),
        ("DELETE", "a", False, "delete"),
        ("DELETE", "", False, "deletecollection"),
    ],
)
def test_a_request_is_a_verb(method: str, name: str, watch: bool, verb: str) -> None:
    attempt = attempt_of(method, PODS, ("shop", name), subresource="", watch=watch)
    assert attempt == Attempt(verb, "", "pods", "shop", name)


def test_a_namespace_is_read_with_a_role_inside_of_it() -> None:
    """Goal: as Kubernetes has it. Method: a Role in the namespace, for itself and another."""
    store, kind = granted(rule("get", "namespaces")), BY_PLURAL["", "namespaces"]
    own, other = (
        attempt_of("GET", kind, ("", name), subresource="", watch=False)
        for name in ("shop", "other")
    )
    assert may(store, "ann", own)
    assert not may(store, "ann", other)


def test_a_refusal_is_in_the_words_of_kubernetes() -> None:
    with pytest.raises(StatusError) as caught:
        require(Store(), "ann", Attempt("delete", "apps", "deployments", "shop", "web"))
    assert caught.value.code == 403
    assert caught.value.message == (
        'deployments.apps "web" is forbidden: User "ann" cannot delete resource "deployments" in '
        'API group "apps" in the namespace "shop"'
    )
