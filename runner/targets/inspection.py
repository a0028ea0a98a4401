"""The objects of a target that matter to a run, read by a short child.

The supervisor of a run loads no Kubernetes client (100 MiB and a second of imports); it starts
``python -m runner.targets.inspection`` instead, which prints one JSON document: kind to objects,
and what could not be read. Reading only; nothing is ever changed here.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from runner.errors import TargetError
from runner.model.faultmark import OWNED_SELECTOR
from runner.model.labels import selector_text
from runner.model.recording import TargetInfo
from runner.model.rights import Right
from runner.private import PrivateFolder
from runner.process import SystemClock, die_with_parent
from runner.targets.permissions import (
    REQUEST_S,
    Permissions,
    as_json,
    read_answers,
    reviewed,
)

Object = dict[str, Any]

CLOCK = SystemClock()
CHILD_BOUND_S = 45.0
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_VERSIONS = ("v1", "v1beta1", "v1alpha3")
_NETWORKING, _SECURITY = "networking.istio.io", "security.istio.io"
_MESH_KINDS = {
    "virtualservices": (_NETWORKING, "VirtualService"),
    "destinationrules": (_NETWORKING, "DestinationRule"),
    "gateways": (_NETWORKING, "Gateway"),
    "envoyfilters": (_NETWORKING, "EnvoyFilter"),
    "serviceentries": (_NETWORKING, "ServiceEntry"),
    "authorizationpolicies": (_SECURITY, "AuthorizationPolicy"),
    "requestauthentications": (_SECURITY, "RequestAuthentication"),
    "peerauthentications": (_SECURITY, "PeerAuthentication"),
}
"""Kinds of the mesh: API group and name."""
KINDS = (
    *("pods", "services", "endpoints", "deployments"),
    *("virtualservices", "destinationrules", "gateways", "envoyfilters"),
)
GATEWAY_PROXIES = "gatewayproxies"
"""What the selectors of the Gateways pick, in any namespace: pods, and Services before them."""
OPTIONAL_KINDS = (
    *("horizontalpodautoscalers", "networkpolicies", "configmaps", "nodes", "serviceentries"),
    *("authorizationpolicies", "requestauthentications", "peerauthentications", GATEWAY_PROXIES),
)
"""What a run can do without: less is known then. Of ConfigMaps, only those that are a fault."""
MARKED_KINDS = (
    *("virtualservices", "envoyfilters", "networkpolicies", "configmaps", "deployments"),
    *("pods", "nodes"),
)
"""Kinds of objects that can carry a fault."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What was read.

    Attributes:
        kinds: Kind (plural, lower case) to its objects, in the order of their names.
        errors: Kind to the reason why it could not be read.
        api_skew_s: The API server's clock minus ours, in seconds, to about a second; None when it
            did not tell.
        permissions: Which of the rights that were asked for we have.
    """

    kinds: dict[str, list[Object]]
    errors: dict[str, str]
    api_skew_s: float | None = None
    permissions: Permissions = Permissions()  # noqa: RUF009 - a frozen value

    @property
    def needed(self) -> dict[str, str]:
        """The errors that a run cannot do with."""
        return {kind: why for kind, why in self.errors.items() if kind not in OPTIONAL_KINDS}

    def of(self, kind: str) -> list[Object]:
        return self.kinds.get(kind, [])

    @property
    def marked(self) -> list[Object]:
        """All objects that could carry a fault."""
        return [one for kind in MARKED_KINDS for one in self.of(kind)]


def read_objects(target: TargetInfo, rights: Sequence[Right] = ()) -> Objects:
    """The objects in the target's namespace, and whether we have ``rights`` there.

    Raises:
        TargetError: When the API server does not answer; says which.
    """
    read = ask_child("inspection", target, "--rights", as_json(rights))
    return Objects(
        kinds=read["kinds"],
        errors=read["errors"],
        api_skew_s=read.get("api_skew_s"),
        permissions=read_answers(read["permissions"]),
    )


def ask_child(part: str, target: TargetInfo, *flags: str) -> dict[str, Any]:
    """The answer of ``python -m runner.targets.<part>``, in JSON; bounded in time.

    Raises:
        TargetError: When the API server does not answer; says which.
    """
    command = [
        *(sys.executable, "-P", "-m", f"runner.targets.{part}"),
        *("--kubeconfig", target.kubeconfig),
        *("--context", target.context),
        *("--namespace", target.namespace),
        *flags,
    ]
    # The client writes certificates to temporary files; a child that is killed leaves them.
    with PrivateFolder() as private:
        try:
            answer = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=CHILD_BOUND_S,
                check=False,
                env=_environment(target, private),
                start_new_session=True,  # Ctrl-C in the terminal is the run's to answer.
                preexec_fn=die_with_parent(),
            )
        except subprocess.TimeoutExpired:
            raise TargetError(
                f"the Kubernetes API of {target.name} did not answer within {CHILD_BOUND_S:g} s"
            ) from None
    if answer.returncode != 0:
        reason = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise TargetError(f"the Kubernetes API of {target.name} cannot be used: {reason}")
    said: dict[str, Any] = json.loads(answer.stdout)
    return said


def _environment(target: TargetInfo, private: Path) -> dict[str, str]:
    """Ours, for log-in plug-ins that need it; a sandbox is never behind a proxy."""
    proxies = _PROXIES if target.kind == "sandbox" else ()
    kept = {name: value for name, value in os.environ.items() if name.upper() not in proxies}
    return kept | {"TMPDIR": str(private)}


# -- children --------------------------------------------------------------------------------------


def child_parser(part: str) -> argparse.ArgumentParser:
    """The flags that every child of :func:`ask_child` is given."""
    parser = argparse.ArgumentParser(prog=f"runner.targets.{part}")
    for flag in ("--kubeconfig", "--context", "--namespace"):
        parser.add_argument(flag, required=True)
    return parser


def connect(asked: argparse.Namespace) -> Any:
    """A client of the cluster that the flags name; none that tries again by itself."""
    from kubernetes import client, config

    settings = client.Configuration()
    settings.retries = False  # They would multiply the bound of a request.
    config.load_kube_config(asked.kubeconfig, asked.context or None, settings, persist_config=False)
    return client.ApiClient(settings)


def say(find: Callable[[], dict[str, Any]]) -> int:
    """Print what ``find`` returns, or why there is nothing; returns the exit code."""
    try:
        found = find()
    except Exception as error:  # noqa: BLE001 - one line for the parent, whatever it was
        sys.stderr.write(f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}\n")
        return 1
    json.dump(found, sys.stdout)
    return 0


def _read(asked: argparse.Namespace) -> dict[str, Any]:
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    api = connect(asked)
    readers = _readers(api, asked.namespace)
    kinds: dict[str, list[Object]] = {}
    errors: dict[str, str] = {}
    skew_s: float | None = None
    for kind in (*KINDS, *OPTIONAL_KINDS):
        try:
            if kind == GATEWAY_PROXIES:
                kinds[kind] = _gateway_proxies(api, kinds.get("gateways", []))
            elif kind in _MESH_KINDS:
                kinds[kind] = _of_mesh(api, asked.namespace, kind)
            else:
                name, read = readers[kind]
                began_s = CLOCK.wall_s()
                answer = read(_preload_content=False, _request_timeout=REQUEST_S)
                skew_s = _skew_s(answer.headers.get("Date"), began_s) if skew_s is None else skew_s
                kinds[kind] = _with_kind(json.loads(answer.data)["items"], name)
        except ApiException as error:
            errors[kind] = f"HTTP {error.status}: {error.reason}"
        except (HTTPError, OSError) as error:
            raise TargetError(f"{kind} of {asked.context}: {error}") from error
    permissions = reviewed(api, asked.namespace, asked.rights)
    return {"kinds": kinds, "errors": errors, "api_skew_s": skew_s, "permissions": permissions}


def _readers(api: Any, namespace: str) -> dict[str, tuple[str, Callable[..., Any]]]:
    """Kind to its name and to what reads its objects, for kinds that are not the mesh's."""
    from kubernetes import client

    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    scaling, networking = client.AutoscalingV2Api(api), client.NetworkingV1Api(api)
    faults = functools.partial(
        core.list_namespaced_config_map, namespace, label_selector=OWNED_SELECTOR
    )
    inside: dict[str, tuple[str, Callable[..., Any]]] = {
        "pods": ("Pod", core.list_namespaced_pod),
        "services": ("Service", core.list_namespaced_service),
        "endpoints": ("Endpoints", core.list_namespaced_endpoints),
        "deployments": ("Deployment", apps.list_namespaced_deployment),
        "horizontalpodautoscalers": (
            "HorizontalPodAutoscaler",
            scaling.list_namespaced_horizontal_pod_autoscaler,
        ),
        "networkpolicies": ("NetworkPolicy", networking.list_namespaced_network_policy),
    }
    bound = {
        kind: (name, functools.partial(read, namespace)) for kind, (name, read) in inside.items()
    }
    return {**bound, "configmaps": ("ConfigMap", faults), "nodes": ("Node", core.list_node)}


def _with_kind(items: list[Object], name: str) -> list[Object]:
    """``items`` with their kind, which the items of a list lack."""
    return [{"kind": name, **item} for item in items]


def _skew_s(date: str | None, began_s: float) -> float | None:
    """The clock that wrote ``date``, a header in whole seconds, minus ours."""
    try:
        told_s = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    return told_s + 0.5 - (began_s + CLOCK.wall_s()) / 2


def _gateway_proxies(api: Any, gateways: list[Object]) -> list[Object]:
    """Pods and Services of any namespace with the labels that the Gateways ask for."""
    from kubernetes import client

    core = client.CoreV1Api(api)
    found: list[Object] = []
    selectors = {
        selector_text(wanted)
        for gateway in gateways
        if (wanted := (gateway.get("spec") or {}).get("selector"))
    }
    for selector in sorted(selectors):
        for read in (core.list_pod_for_all_namespaces, core.list_service_for_all_namespaces):
            answer = read(
                label_selector=selector, _preload_content=False, _request_timeout=REQUEST_S
            )
            found += json.loads(answer.data)["items"]
    return found


def _of_mesh(api: Any, namespace: str, kind: str) -> list[Object]:
    """Objects of a kind of the mesh's in the newest version that the server has."""
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    custom = client.CustomObjectsApi(api)
    group, name = _MESH_KINDS[kind]
    for version in _VERSIONS:
        try:
            answer = custom.list_namespaced_custom_object(
                group, version, namespace, kind, _request_timeout=REQUEST_S
            )
        except ApiException as error:
            if error.status != 404 or version == _VERSIONS[-1]:
                raise
        else:
            return _with_kind(list(answer["items"]), name)
    raise AssertionError("unreachable: the last version raises or answers")


def main() -> int:
    """Read and print; the exit code says whether the API server answered."""
    parser = child_parser("inspection")
    parser.add_argument("--rights", default="[]", help="which rights to ask for, as JSON")
    asked = parser.parse_args()
    return say(lambda: _read(asked))


if __name__ == "__main__":
    sys.exit(main())
