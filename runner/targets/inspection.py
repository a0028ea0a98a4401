"""The objects of a target that matter to a run, read by a short child.

The supervisor of a run loads no Kubernetes client (100 MiB and a second of imports); it starts
``python -m runner.targets.inspection`` instead, which prints one JSON document: kind to objects,
and what could not be read. Reading only; nothing is ever changed here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import TargetError
from runner.model.recording import TargetInfo
from runner.private import PrivateFolder
from runner.process import die_with_parent

Object = dict[str, Any]

CHILD_BOUND_S = 45.0
REQUEST_S = 5.0
"""Bound of each request that a child makes."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_ISTIO = ("virtualservices", "destinationrules", "gateways", "envoyfilters")
_VERSIONS = ("v1", "v1beta1", "v1alpha3")
KINDS = ("pods", "services", "endpoints", "deployments", *_ISTIO)
OPTIONAL_KINDS = ("horizontalpodautoscalers",)
"""What a run can do without: the report says less then."""


@dataclass(frozen=True, slots=True)
class Objects:
    """What was read.

    Attributes:
        kinds: Kind (plural, lower case) to its objects, in the order of their names.
        errors: Kind to the reason why it could not be read.
    """

    kinds: dict[str, list[Object]]
    errors: dict[str, str]

    @property
    def needed(self) -> dict[str, str]:
        """The errors that a run cannot do with."""
        return {kind: why for kind, why in self.errors.items() if kind not in OPTIONAL_KINDS}

    def of(self, kind: str) -> list[Object]:
        return self.kinds.get(kind, [])


def read_objects(target: TargetInfo) -> Objects:
    """The objects in the target's namespace.

    Raises:
        TargetError: When the API server does not answer; says which.
    """
    read = ask_child("inspection", target)
    return Objects(kinds=read["kinds"], errors=read["errors"])


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
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    api, namespace = connect(asked), asked.namespace
    core, apps, scaling = (
        client.CoreV1Api(api),
        client.AppsV1Api(api),
        client.AutoscalingV2Api(api),
    )
    typed = {
        "pods": core.list_namespaced_pod,
        "services": core.list_namespaced_service,
        "endpoints": core.list_namespaced_endpoints,
        "deployments": apps.list_namespaced_deployment,
        "horizontalpodautoscalers": scaling.list_namespaced_horizontal_pod_autoscaler,
    }
    kinds: dict[str, list[Object]] = {}
    errors: dict[str, str] = {}
    for kind in (*KINDS, *OPTIONAL_KINDS):
        try:
            if kind in typed:
                answer = typed[kind](namespace, _preload_content=False, _request_timeout=REQUEST_S)
                kinds[kind] = json.loads(answer.data)["items"]
            else:
                kinds[kind] = _istio(client.CustomObjectsApi(api), namespace, kind)
        except ApiException as error:
            errors[kind] = f"HTTP {error.status}: {error.reason}"
        except (HTTPError, OSError) as error:
            raise TargetError(f"{kind} of {asked.context}: {error}") from error
    return {"kinds": kinds, "errors": errors}


def _istio(custom: Any, namespace: str, kind: str) -> list[Object]:
    """Objects of an Istio kind in the newest version that the server has."""
    from kubernetes.client.exceptions import ApiException

    for version in _VERSIONS:
        try:
            answer = custom.list_namespaced_custom_object(
                "networking.istio.io", version, namespace, kind, _request_timeout=REQUEST_S
            )
        except ApiException as error:
            if error.status != 404 or version == _VERSIONS[-1]:
                raise
        else:
            return list(answer["items"])
    raise AssertionError("unreachable: the last version raises or answers")


def main() -> int:
    """Read and print; the exit code says whether the API server answered."""
    asked = child_parser("inspection").parse_args()
    return say(lambda: _read(asked))


if __name__ == "__main__":
    sys.exit(main())
