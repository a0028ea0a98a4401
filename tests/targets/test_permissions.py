"""What we may do in a namespace: asked of a real API server, as users of fewer rights."""

from __future__ import annotations

from pathlib import Path

import pytest
from as_user import grant, target_as
from bare_api import NAMESPACE, BareApi

from runner.model.rights import LOOK, LOOK_MORE, Right
from runner.targets.inspection import read_objects
from runner.targets.permissions import (
    Permissions,
    granting,
    missing_rights,
    opt_in,
)

KILL, LIST = Right("", "pods", "delete"), Right("", "pods", "list")
EVICT = Right("", "pods/eviction", "create")
CORDON = Right("", "nodes", "update", namespaced=False)


def test_a_label_is_the_permission_of_the_owner() -> None:
    """Goal: no label, no run. Method: the label, another value, none, and an unread namespace."""
    assert opt_in(Permissions(labels={"seatrial.dev/inject": "enabled"}), "shop") == []
    sentence = (
        "the namespace shop does not carry the label seatrial.dev/inject=enabled, by which its "
        "owner allows faults in it; set it with `kubectl label namespace shop "
        "seatrial.dev/inject=enabled`"
    )
    assert opt_in(Permissions(labels={"seatrial.dev/inject": "disabled"}), "shop") == [sentence]
    assert opt_in(Permissions(labels={}), "shop") == [sentence]
    (unread,) = opt_in(Permissions(labels=None), "shop")
    assert "cannot be read for seatrial.dev/inject=enabled" in unread


def test_what_is_denied_is_named_with_the_role_that_grants_it() -> None:
    """Goal: one look tells what to ask for. Method: two denied rights."""
    denied = Permissions(denied=(KILL, Right("apps", "deployments", "update")))
    assert missing_rights(denied, "shop") == [
        "missing permissions in shop: delete pods, update deployments.apps; "
        "`seatrial role` prints the Role"
    ]
    assert "- apiGroups: [apps]\n  resources: [deployments]\n  verbs: [update]" in granting(
        denied, "shop"
    )
    assert missing_rights(Permissions(), "shop") == []
    assert granting(Permissions(), "shop") == ""


@pytest.mark.sandbox
def test_the_api_server_says_what_a_user_may_do(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: access reviews are believed, verb by verb. Method: a user who may list and evict."""
    grant(bare_api, "ann", [*LOOK, *LOOK_MORE, EVICT])
    asked = (LIST, KILL, EVICT, CORDON)
    found = read_objects(target_as(bare_api, "ann", tmp_path), asked)
    assert found.permissions.denied == (KILL, CORDON)
    assert found.needed == {}
    assert found.permissions.labels is not None
    assert found.permissions.trouble == ""
    assert read_objects(bare_api.target, asked).permissions.denied == ()


@pytest.mark.sandbox
def test_who_may_not_read_the_namespace_is_not_let_in(bare_api: BareApi, tmp_path: Path) -> None:
    """Goal: what cannot be asked is no permission. Method: a user without any right."""
    found = read_objects(target_as(bare_api, "bob", tmp_path), (KILL,))
    assert found.permissions.denied == (KILL,)
    assert found.permissions.labels is None
    assert found.permissions.trouble == ""  # Everything was asked, and answered.
    assert found.errors["pods"] == "HTTP 403: Forbidden"
    assert len(opt_in(found.permissions, NAMESPACE)) == 1
