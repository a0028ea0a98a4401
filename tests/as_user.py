"""A kubeconfig of the bare API server with which a test acts as a user of fewer rights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bare_api import NAMESPACE, BareApi

from runner.model.recording import TargetInfo
from runner.model.rights import Right
from runner.yamltext import read_yaml


def kubeconfig_as(api: BareApi, user: str, folder: Path) -> Path:
    """A kubeconfig for the bare server, where whoever uses it is ``user``."""
    config: Any = read_yaml(api.kubeconfig)
    for entry in config["users"]:
        entry["user"]["token"] += f".{user}"
    path = folder / f"kubeconfig-{user}"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def target_as(api: BareApi, user: str, folder: Path) -> TargetInfo:
    """The bare target, where whoever uses it is ``user``."""
    kubeconfig = str(kubeconfig_as(api, user, folder))
    return TargetInfo.model_copy(api.target, update={"kubeconfig": kubeconfig})


def grant(api: BareApi, user: str, rights: Iterable[Right], namespace: str = NAMESPACE) -> None:
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
    rbac.create_namespaced_role(namespace, {"metadata": meta, "rules": inside})
    rbac.create_cluster_role({"metadata": meta, "rules": outside})
    of_role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user}
    body: Any = {"metadata": meta, "subjects": [subject], "roleRef": of_role}
    rbac.create_namespaced_role_binding(namespace, body)
    rbac.create_cluster_role_binding({**body, "roleRef": {**of_role, "kind": "ClusterRole"}})
