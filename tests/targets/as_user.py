"""A kubeconfig of the bare API server with which a test acts as a user of fewer rights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bare_api import NAMESPACE, BareApi

from runner.model.recording import TargetInfo
from runner.model.rights import Right
from runner.source import read_yaml


def target_as(api: BareApi, user: str, folder: Path) -> TargetInfo:
    """The bare target, where whoever uses it is ``user``."""
    config: Any = read_yaml(api.kubeconfig)
    for entry in config["users"]:
        entry["user"]["token"] += f".{user}"
    path = folder / f"kubeconfig-{user}"
    path.write_text(json.dumps(config), encoding="utf-8")
    return TargetInfo.model_copy(api.target, update={"kubeconfig": str(path)})


def grant(api: BareApi, user: str, rights: Iterable[Right]) -> None:
    """Bind ``user`` to Roles with exactly these rights."""
    from kubernetes import client

    rbac = client.RbacAuthorizationV1Api(api.core.api_client)
    kept = tuple(rights)
    subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
    inside, outside = (
        [
            {"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]}
            for right in kept
            if right.namespaced is namespaced
        ]
        for namespaced in (True, False)
    )
    meta = {"name": user}
    rbac.create_namespaced_role(NAMESPACE, {"metadata": meta, "rules": inside})
    rbac.create_cluster_role({"metadata": meta, "rules": outside})
    of_role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user}
    body: Any = {"metadata": meta, "subjects": [subject], "roleRef": of_role}
    rbac.create_namespaced_role_binding(NAMESPACE, body)
    rbac.create_cluster_role_binding({**body, "roleRef": {**of_role, "kind": "ClusterRole"}})
