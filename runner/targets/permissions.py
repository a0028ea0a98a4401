"""What we may do in a namespace: its own word (a label), and the API server's (access reviews).

The questions are asked by the child that reads the objects, with the client that it has; nothing is
changed. What could not be asked is told, and is no permission.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.model.rights import Right, roles_text
from runner.model.target import OPT_IN_LABEL, OPT_IN_VALUE

REQUEST_S = (3.0, 5.0)
"""Bounds of each request that a child makes: to connect, and for each answer.

A pair, because the Kubernetes client ignores a single number that is not an int, without a word.
"""


@dataclass(frozen=True, slots=True)
class Permissions:
    """The answers.

    Attributes:
        denied: Rights that we do not have.
        labels: Labels of the namespace; None when they could not be read.
        trouble: Why something could not be asked; empty when all was.
    """

    denied: tuple[Right, ...] = ()
    labels: dict[str, str] | None = None
    trouble: str = ""


def as_json(rights: Sequence[Right]) -> str:
    """Rights as an argument of the child."""
    return json.dumps([[r.group, r.resource, r.verb, r.namespaced] for r in rights])


def reviewed(api: Any, namespace: str, asked: str) -> dict[str, Any]:
    """The answers as JSON data, asked with the Kubernetes client ``api``; never raises for a no."""
    rights = [Right(*one) for one in json.loads(asked)]
    answers: dict[str, Any] = {"denied": [], "labels": None, "trouble": ""}
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    options = {"_preload_content": False, "_request_timeout": REQUEST_S}
    try:
        for right in rights:
            body = {"spec": {"resourceAttributes": _attributes(right, namespace)}}
            review = client.AuthorizationV1Api(api).create_self_subject_access_review
            answer = json.loads(review(body, **options).data)
            if not (answer.get("status") or {}).get("allowed"):
                answers["denied"].append(
                    [right.group, right.resource, right.verb, right.namespaced]
                )
        answers["labels"] = _labels(client.CoreV1Api(api), namespace, options)
    except ApiException as error:
        answers["trouble"] = f"HTTP {error.status}: {error.reason}"
    except (HTTPError, OSError, ValueError) as error:
        answers["trouble"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return answers


def _labels(core: Any, namespace: str, options: dict[str, Any]) -> dict[str, str] | None:
    """The labels of the namespace; None where we may not read it, which is an answer."""
    from kubernetes.client.exceptions import ApiException

    try:
        found = json.loads(core.read_namespace(namespace, **options).data)
    except ApiException as error:
        if error.status != 403:
            raise
        return None
    return found["metadata"].get("labels") or {}


def read_answers(answers: dict[str, Any]) -> Permissions:
    """What :func:`reviewed` said."""
    return Permissions(
        denied=tuple(Right(*one) for one in answers["denied"]),
        labels=answers["labels"],
        trouble=answers["trouble"],
    )


def _attributes(right: Right, namespace: str) -> dict[str, str]:
    resource, _, subresource = right.resource.partition("/")
    found = {"verb": right.verb, "group": right.group, "resource": resource}
    found |= {"subresource": subresource} if subresource else {}
    found |= {"namespace": namespace} if right.namespaced else {}
    # A Role can grant the reading of its own namespace.
    return found | ({"name": namespace} if resource == "namespaces" else {})


def missing_rights(permissions: Permissions, namespace: str) -> list[str]:
    """A sentence for what is denied, with the rule that would grant it; none when nothing is."""
    if not permissions.denied:
        return []
    named = ", ".join(map(str, permissions.denied))
    return [f"missing permissions in {namespace}: {named}; `seatrial role` prints the Role"]


def granting(permissions: Permissions, namespace: str) -> str:
    """YAML of the Role that grants what is denied; empty when nothing is."""
    return roles_text(permissions.denied, namespace) if permissions.denied else ""


def opt_in(permissions: Permissions, namespace: str) -> list[str]:
    """Why the namespace does not allow to be disturbed; empty when it does."""
    if permissions.labels is not None and permissions.labels.get(OPT_IN_LABEL) == OPT_IN_VALUE:
        return []
    command = f"kubectl label namespace {namespace} {OPT_IN_LABEL}={OPT_IN_VALUE}"
    why = "does not carry the label" if permissions.labels is not None else "cannot be read for"
    return [
        f"the namespace {namespace} {why} {OPT_IN_LABEL}={OPT_IN_VALUE}, by which its owner allows "
        f"faults in it; set it with `{command}`"
    ]
