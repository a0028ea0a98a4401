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
import tempfile
from dataclasses import dataclass
from typing import Any

from runner.errors import TargetError
from runner.model.recording import TargetInfo
from runner.process import die_with_parent

Object = dict[str, Any]

CHILD_BOUND_S = 45.0
_REQUEST_S = 5.0
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_ISTIO = ("virtualservices", "destinationrules", "gateways", "envoyfilters")
_VERSIONS = ("v1", "v1beta1", "v1alpha3")
KINDS = ("pods", "services", "endpoints", "deployments", *_ISTIO)


@dataclass(frozen=True, slots=True)
class Objects:
    """What was read.

    Attributes:
        kinds: Kind (plural, lower case) to its objects, in the order of their names.
        errors: Kind to the reason why it could not be read.
    """

    kinds: dict[str, list[Object]]
    errors: dict[str, str]

    def of(self, kind: str) -> list[Object]:
        return self.kinds.get(kind, [])


def read_objects(target: TargetInfo) -> Objects:
    """The objects in the target's namespace.

    Raises:
        TargetError: When the API server does not answer; says which.
    """
    command = [
        *(sys.executable, "-P", "-m", "runner.targets.inspection"),
        *("--kubeconfig", target.kubeconfig),
        *("--context", target.context),
        *("--namespace", target.namespace),
    ]
    # The client writes certificates to temporary files; a child that is killed leaves them.
    with tempfile.TemporaryDirectory(prefix="seatrial-look-") as private:
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
    read = json.loads(answer.stdout)
    return Objects(kinds=read["kinds"], errors=read["errors"])


def _environment(target: TargetInfo, private: str) -> dict[str, str]:
    """Ours, for log-in plug-ins that need it; a sandbox is never behind a proxy."""
    proxies = _PROXIES if target.kind == "sandbox" else ()
    kept = {name: value for name, value in os.environ.items() if name.upper() not in proxies}
    return kept | {"TMPDIR": private}


def _read(kubeconfig: str, context: str, namespace: str) -> Objects:
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    settings = client.Configuration()
    settings.retries = False  # They would multiply the bound of a request.
    config.load_kube_config(kubeconfig, context or None, settings, persist_config=False)
    api = client.ApiClient(settings)
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    typed = {
        "pods": core.list_namespaced_pod,
        "services": core.list_namespaced_service,
        "endpoints": core.list_namespaced_endpoints,
        "deployments": apps.list_namespaced_deployment,
    }
    found = Objects(kinds={}, errors={})
    for kind in KINDS:
        try:
            if kind in typed:
                answer = typed[kind](namespace, _preload_content=False, _request_timeout=_REQUEST_S)
                found.kinds[kind] = json.loads(answer.data)["items"]
            else:
                found.kinds[kind] = _istio(client.CustomObjectsApi(api), namespace, kind)
        except ApiException as error:
            found.errors[kind] = f"HTTP {error.status}: {error.reason}"
        except (HTTPError, OSError) as error:
            raise TargetError(f"{kind} of {context}: {error}") from error
    return found


def _istio(custom: Any, namespace: str, kind: str) -> list[Object]:
    """Objects of an Istio kind in the newest version that the server has."""
    from kubernetes.client.exceptions import ApiException

    for version in _VERSIONS:
        try:
            answer = custom.list_namespaced_custom_object(
                "networking.istio.io", version, namespace, kind, _request_timeout=_REQUEST_S
            )
        except ApiException as error:
            if error.status != 404 or version == _VERSIONS[-1]:
                raise
        else:
            return list(answer["items"])
    raise AssertionError("unreachable: the last version raises or answers")


def main(argv: list[str] | None = None) -> int:
    """Read and print; the exit code says whether the API server answered."""
    parser = argparse.ArgumentParser(prog="runner.targets.inspection")
    for flag in ("--kubeconfig", "--context", "--namespace"):
        parser.add_argument(flag, required=True)
    asked = parser.parse_args(argv)
    try:
        found = _read(asked.kubeconfig, asked.context, asked.namespace)
    except Exception as error:  # noqa: BLE001 - one line for the parent, whatever it was
        sys.stderr.write(f"{type(error).__name__}: {str(error).splitlines()[0]}\n")
        return 1
    json.dump({"kinds": found.kinds, "errors": found.errors}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
