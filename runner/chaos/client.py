"""The Kubernetes API as faults need it: about eight requests, each with a bound in time.

The one door to the ``kubernetes`` package, for faults and heals alike. Objects go in and out as
plain dictionaries. It never falls back to another cluster: the kubeconfig and the context are
named, or the first error says that they are not. Not for the supervisor of a run, which loads no
client.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from runner.chaos.annotation import Object
from runner.errors import SeatrialError, TargetError

log = logging.getLogger(__name__)

CONNECT_S = 3.0
READ_S = 5.0
EDIT_DEADLINE_S = 10.0
GROUP = "networking.istio.io"
VERSIONS = ("v1", "v1beta1", "v1alpha3")
FIELD_MANAGER = "seatrial"


class ApiRefusalError(TargetError):
    """The API server answered with an error status, or (status 0) not at all."""

    def __init__(self, what: str, status: int, reason: str) -> None:
        said = f"HTTP {status}: {reason}" if status else reason
        super().__init__(f"{what}: {said}")
        self.status = status

    @property
    def transient(self) -> bool:
        """Whether the same request may do better in a moment."""
        return self.status in (0, 409, 429) or self.status >= 500


class Cluster(Protocol):
    """What actions, probes and heals ask of a cluster. Raises :class:`ApiRefusalError` only."""

    def virtual_services(self, namespace: str | None) -> list[Object]:
        """All VirtualServices of a namespace; of all namespaces when it is None."""
        ...

    def virtual_service(self, namespace: str, name: str) -> Object: ...

    def replace_virtual_service(self, body: Object) -> Object:
        """PUT with the ``resourceVersion`` in ``body``; 409 when the object has moved on."""
        ...

    def service(self, namespace: str, name: str) -> Object: ...

    def pods(self, namespace: str, selector: str) -> list[Object]: ...

    def disruption_budgets(self, namespace: str) -> list[Object]:
        """All PodDisruptionBudgets of a namespace."""
        ...

    def delete_pod(self, namespace: str, name: str, uid: str, grace_s: float) -> None:
        """Delete the pod that has this UID; 409 when another one has taken its name."""
        ...


class KubeCluster:
    """A :class:`Cluster` behind a kubeconfig.

    Args:
        kubeconfig: One file. Default: ``KUBECONFIG``.
        context: A context in it. Default: its current one.

    Raises:
        TargetError: When the file, or the context in it, is not there or cannot be used.
    """

    def __init__(self, kubeconfig: str = "", context: str = "") -> None:
        from kubernetes import client, config
        from kubernetes.config.config_exception import ConfigException

        path = kubeconfig or os.environ.get("KUBECONFIG", "")
        if not path or not Path(path).is_file():
            raise TargetError(
                f"no kubeconfig: {path!r} is not a file",
                accepted="the path of one file, as argument or in KUBECONFIG",
            )
        settings = client.Configuration()
        settings.retries = False  # Ours are bounded and know what may be repeated.
        try:
            config.load_kube_config(path, context or None, settings, persist_config=False)
        except (ConfigException, OSError, ValueError, TypeError) as error:
            raise TargetError(f"the kubeconfig {path} cannot be used: {error}") from error
        self._api = client.ApiClient(settings)
        self._core = client.CoreV1Api(self._api)
        self._policy = client.PolicyV1Api(self._api)
        self._custom = client.CustomObjectsApi(self._api)
        self._groups = client.ApisApi(self._api).get_api_versions
        self._delete_options = client.V1DeleteOptions
        self._preconditions = client.V1Preconditions
        self._version = ""

    def virtual_services(self, namespace: str | None) -> list[Object]:
        version = self._istio_version()
        where = f"VirtualServices in {namespace}" if namespace else "VirtualServices everywhere"
        if namespace is None:
            answer = self._call(
                f"list {where}",
                self._custom.list_cluster_custom_object,
                (GROUP, version, "virtualservices"),
            )
        else:
            answer = self._call(
                f"list {where}",
                self._custom.list_namespaced_custom_object,
                (GROUP, version, namespace, "virtualservices"),
            )
        return [self._whole(item) for item in answer.get("items") or ()]

    def virtual_service(self, namespace: str, name: str) -> Object:
        found: Object = self._call(
            f"get virtualservice/{name} in {namespace}",
            self._custom.get_namespaced_custom_object,
            (GROUP, self._istio_version(), namespace, "virtualservices", name),
        )
        return found

    def replace_virtual_service(self, body: Object) -> Object:
        metadata = body["metadata"]
        replaced: Object = self._call(
            f"replace virtualservice/{metadata['name']} in {metadata['namespace']}",
            self._custom.replace_namespaced_custom_object,
            (
                *(GROUP, self._istio_version(), metadata["namespace"]),
                *("virtualservices", metadata["name"], body),
            ),
            field_manager=FIELD_MANAGER,
        )
        return replaced

    def service(self, namespace: str, name: str) -> Object:
        found: Object = self._raw(
            f"get service/{name} in {namespace}",
            self._core.read_namespaced_service,
            (name, namespace),
        )
        return found

    def pods(self, namespace: str, selector: str) -> list[Object]:
        found = self._raw(
            f"list pods with {selector} in {namespace}",
            self._core.list_namespaced_pod,
            (namespace,),
            label_selector=selector,
        )
        return list(found.get("items") or ())

    def disruption_budgets(self, namespace: str) -> list[Object]:
        found = self._raw(
            f"list PodDisruptionBudgets in {namespace}",
            self._policy.list_namespaced_pod_disruption_budget,
            (namespace,),
        )
        return list(found.get("items") or ())

    def delete_pod(self, namespace: str, name: str, uid: str, grace_s: float) -> None:
        options = self._delete_options(
            grace_period_seconds=round(grace_s), preconditions=self._preconditions(uid=uid)
        )
        self._raw(
            f"delete pod/{name} in {namespace}",
            self._core.delete_namespaced_pod,
            (name, namespace),
            body=options,
        )

    def _istio_version(self) -> str:
        """The newest version of Istio's networking API that this cluster serves."""
        if not self._version:
            groups = self._raw(f"look for the API {GROUP}", self._groups, ())
            served = {
                version["version"]
                for group in groups.get("groups") or ()
                if group.get("name") == GROUP
                for version in group.get("versions") or ()
            }
            known = [version for version in VERSIONS if version in served]
            if not known:
                raise TargetError(
                    f"this cluster has no {GROUP} API, so it has no Istio to disturb",
                    accepted=f"one of the versions {', '.join(VERSIONS)}",
                )
            self._version = known[0]
        return self._version

    def _whole(self, item: Object) -> Object:
        """Items of a list may lack what a PUT needs."""
        return {
            "apiVersion": f"{GROUP}/{self._version}",
            "kind": "VirtualService",
            **item,
        }

    def _raw(self, what: str, call: Callable[..., Any], args: tuple[Any, ...], **more: Any) -> Any:
        """The answer as it came: the client's models differ by version, and some are strict."""
        answer = self._call(what, call, args, _preload_content=False, **more)
        try:
            return json.loads(answer.data)
        except ValueError as error:
            raise ApiRefusalError(what, 0, f"the answer is not JSON ({error})") from error

    @staticmethod
    def _call(what: str, call: Callable[..., Any], args: tuple[Any, ...], **options: Any) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return call(*args, _request_timeout=(CONNECT_S, READ_S), **options)
        except ApiException as error:
            raise ApiRefusalError(what, error.status or 0, _reason(error)) from error
        except (HTTPError, OSError) as error:
            raise ApiRefusalError(what, 0, f"no answer ({_first_line(error)})") from error


def _reason(error: Any) -> str:
    """The API server's own sentence, or the HTTP reason."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, TypeError, KeyError):
        return str(error.reason or "no reason given")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def edit_virtual_service(
    cluster: Cluster,
    current: Object,
    change: Callable[[Object], Object],
    *,
    deadline_s: float = EDIT_DEADLINE_S,
    pause: Callable[[float], None] = time.sleep,
) -> Object | None:
    """Change a VirtualService in one PUT, from what is there now, again after a conflict.

    Conflicts, overload, server errors and lost answers are repeated from a fresh read until
    ``deadline_s`` has passed. ``change`` must be idempotent: a request may have taken although its
    answer was lost.

    Args:
        cluster: Where.
        current: The object as last read; used for the first try.
        change: Pure function from the object to what it should be.
        deadline_s: Bound for all tries together, in seconds.
        pause: Waits between tries.

    Returns:
        The object as it is now; None when it does not exist (any more).

    Raises:
        ApiRefusalError: When it was refused for good, or the deadline has passed.
    """
    until_s = time.monotonic() + deadline_s
    metadata = current["metadata"]
    wait_s = 0.05
    fresh: Object | None = current
    while True:
        try:
            if fresh is None:
                fresh = cluster.virtual_service(metadata["namespace"], metadata["name"])
            wanted = change(fresh)
            return fresh if wanted == fresh else cluster.replace_virtual_service(wanted)
        except ApiRefusalError as error:
            if error.status == 404:
                return None
            if not error.transient or time.monotonic() + wait_s > until_s:
                raise
            log.info("again in %.2f s: %s", wait_s, error.message)
        pause(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads rivals, hides nothing
        wait_s = min(wait_s * 2, 1.0)
        fresh = None


def patiently(
    call: Callable[[], Any],
    *,
    deadline_s: float = EDIT_DEADLINE_S,
    pause: Callable[[float], None] = time.sleep,
) -> Any:
    """The answer of a read, repeated while it fails for passing reasons, until the deadline.

    Raises:
        ApiRefusalError: The last refusal.
    """
    until_s = time.monotonic() + deadline_s
    wait_s = 0.1
    while True:
        try:
            return call()
        except ApiRefusalError as error:
            if not error.transient or time.monotonic() + wait_s > until_s:
                raise
            log.info("again in %.2f s: %s", wait_s, error.message)
        pause(wait_s)
        wait_s = min(wait_s * 2, 1.0)


def one_line(error: BaseException) -> str:
    """An error as one line for a journal."""
    if isinstance(error, SeatrialError):
        parts = (error.message, error.accepted and f"accepted: {error.accepted}", error.hint)
        return "; ".join(" ".join(part.split()) for part in parts if part)
    return _first_line(error)
