"""The reaper: a CronJob that removes what is past its time, as a manifest for clusters. Pure.

It runs ``python -m runner.chaos.heal --expired`` in the namespace of the services, as a service
account that may do that and nothing else. It is a third net, below a run's own undo and its
guardian: it needs neither the machine that injected a fault nor anybody who looks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from runner.chaos.carriers import CARRIERS, Carrier
from runner.errors import UsageError
from runner.model.fault import NAME_PATTERN

NAME: Final = "seatrial-reaper"
DEADLINE_S: Final = 20
ACTIVE_S: Final = 50
"""A job ends by then, so that the next one can begin."""
USER: Final = 65532
"""Nobody's; what minimal images call ``nonroot``."""

MINUTES: Final = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""Intervals that a cron schedule can have without a jump at the full hour."""

IMAGE_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")

PLAIN: Final = re.compile(
    r"(?!(true|false|null|yes|no|on|off|y|n)$)[A-Za-z][A-Za-z0-9./_-]*", re.IGNORECASE
)
"""Texts that YAML takes for texts, also the old one."""

WHY: Final = {
    "virtualservices": "Copies of routes, with a delay or an abort, stand before the user's own.",
    "envoyfilters": "A fault on the server side is an EnvoyFilter of its own.",
    "networkpolicies": "Traffic is cut by a NetworkPolicy of its own.",
    "deployments": "spec.replicas goes back to what it was; update is the verb for that.",
    "pods": "Labels by which an EnvoyFilter has chosen pods are taken off.",
    "nodes": "spec.unschedulable goes back to what it was.",
    "configmaps": "Markers of faults that nobody can undo from here: they are seen and reported.",
}
"""Plural of a kind to why the reaper may touch it."""


def command(namespace: str) -> list[str]:
    """What the CronJob runs."""
    return [
        *("python", "-P", "-m", "runner.chaos.heal"),
        *("--in-cluster", "--namespace", namespace, "--expired", "--deadline", str(DEADLINE_S)),
    ]


def verbs(carrier: Carrier) -> list[str]:
    """What undoing a fault on a kind of object takes: no verb that creates anything."""
    if carrier.rollback_elsewhere:
        return ["list"]
    return ["get", "list", "delete" if carrier.owned else "update"]


def schedule(every_s: float) -> str:
    """The cron schedule of an interval.

    Raises:
        UsageError: For an interval that cron cannot have.
    """
    minutes = every_s / 60
    if minutes == 60:
        return "0 * * * *"
    if minutes not in MINUTES:
        raise UsageError(
            f"a CronJob cannot run every {every_s:g} s",
            accepted=", ".join(f"{n}m" for n in MINUTES) + ", 1h",
        )
    return "* * * * *" if minutes == 1 else f"*/{minutes:g} * * * *"


def manifest(
    namespace: str, image: str, *, every_s: float = 60.0, nodes: bool = False, name: str = NAME
) -> str:
    """The YAML of the reaper of one namespace, each right with its reason.

    Args:
        namespace: Where it runs, and looks.
        image: A container image with this package; its ``python`` is run.
        every_s: How often, in seconds.
        nodes: Whether it may undo cordons, too. Nodes belong to no namespace, so that takes a
            ClusterRole.
        name: Of all its objects.

    Raises:
        UsageError: For a name that Kubernetes would refuse, or an interval that cron cannot have.
    """
    for what, value in (("namespace", namespace), ("name", name)):
        if not re.fullmatch(NAME_PATTERN, value):
            raise UsageError(f"{value!r} is no {what}", accepted="letters a-z, digits and '-'")
    if not IMAGE_PATTERN.fullmatch(image):
        raise UsageError(f"{image!r} is no container image", accepted="NAME[:TAG][@DIGEST]")
    inside = [carrier for carrier in CARRIERS if carrier.kind.namespaced]
    outside = [carrier for carrier in CARRIERS if not carrier.kind.namespaced]
    wide = f"{name}-{namespace}"
    parts = [
        _about(namespace),
        _object("v1", "ServiceAccount", name, namespace, {"automountServiceAccountToken": False}),
        _role("Role", name, namespace, inside),
        _binding("Role", name, namespace, account=name, where=namespace),
    ]
    if nodes:
        parts += [
            _role("ClusterRole", wide, "", outside),
            _binding("ClusterRole", wide, "", account=name, where=namespace),
        ]
    job = _cron_job(namespace, image, schedule(every_s), name)
    parts.append(_object("batch/v1", "CronJob", name, namespace, {"spec": job}))
    return "---\n".join(parts)


def _about(namespace: str) -> str:
    return (
        f"# The reaper of seatrial in {namespace}: removes faults that are past their time.\n"
        "# A job that fails has found something that it could not remove; its log says what:\n"
        f"#   kubectl -n {namespace} logs -l app.kubernetes.io/name={NAME}\n"
    )


def _role(kind: str, name: str, namespace: str, carriers: Iterable[Carrier]) -> str:
    lines = [
        _object("rbac.authorization.k8s.io/v1", kind, name, namespace, {}).rstrip("\n"),
        "rules:",
    ]
    for carrier in carriers:
        lines += [
            f"  # {WHY[carrier.kind.plural]}",
            f"  - apiGroups: {json.dumps([carrier.kind.group])}",
            f"    resources: {json.dumps([carrier.kind.plural])}",
            f"    verbs: {json.dumps(verbs(carrier))}",
        ]
    return "\n".join(lines) + "\n"


def _binding(role: str, name: str, namespace: str, *, account: str, where: str) -> str:
    group = "rbac.authorization.k8s.io"
    content = {
        "roleRef": {"apiGroup": group, "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": where}],
    }
    return _object(f"{group}/v1", f"{role}Binding", name, namespace, content)


def _cron_job(namespace: str, image: str, cron: str, name: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "seatrial"}
    pod = {
        "serviceAccountName": name,
        "automountServiceAccountToken": True,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(namespace, image)],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "16Mi"}}],
    }
    # A sidecar would keep the job from ending, and be hit by the faults that it is to end.
    outside = {"sidecar.istio.io/inject": "false"}
    template = {
        "metadata": {"labels": labels | outside, "annotations": outside},
        "spec": pod,
    }
    return {
        "schedule": cron,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 60,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "spec": {
                "backoffLimit": 0,  # The next one is soon enough.
                "activeDeadlineSeconds": ACTIVE_S,
                "ttlSecondsAfterFinished": 3600,
                "template": template,
            }
        },
    }


def _container(namespace: str, image: str) -> dict[str, Any]:
    return {
        "name": "reaper",
        "image": image,
        "command": command(namespace),
        "env": [
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            {"name": "TMPDIR", "value": "/scratch"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": "20m", "memory": "96Mi"},
            "limits": {"memory": "256Mi"},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }


def _object(version: str, kind: str, name: str, namespace: str, content: Mapping[str, Any]) -> str:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    head = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return "\n".join(_lines({**head, **content}, 0)) + "\n"


def _lines(value: Mapping[str, Any], indent: int) -> Iterable[str]:
    """``value`` as YAML in block style; lists of plain values in one line, as JSON."""
    pad = " " * indent
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield f"{pad}{key}:"
            yield from _lines(inner, indent + 2)
        elif isinstance(inner, list) and inner and isinstance(inner[0], Mapping):
            yield f"{pad}{key}:"
            for item in inner:
                first, *rest = _lines(item, indent + 4)
                yield f"{pad}  - {first.strip()}"
                yield from rest
        else:
            plain = isinstance(inner, str) and PLAIN.fullmatch(inner)
            yield f"{pad}{key}: {inner if plain else json.dumps(inner)}"
