"""The Kubernetes API as faults need it: seven requests, each with a bound in time.

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
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from runner.chaos.login import load_kubeconfig, load_service_account
from runner.chaos.objects import Kind, Object
from runner.errors import SeatrialError, TargetError

log = logging.getLogger(__name__)

CONNECT_S = 3.0
READ_S = 5.0
EDIT_DEADLINE_S = 10.0
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

    def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        """The objects of a kind in a namespace, whole, so that they can be put back.

        Those of all namespaces when it is None; a kind without namespaces ignores it.
        """
        ...

    def read(self, kind: Kind, namespace: str, name: str) -> Object: ...

    def create(self, kind: Kind, body: Object) -> Object:
        """POST; 409 when an object of this name is there."""
        ...

    def replace(self, kind: Kind, body: Object) -> Object:
        """PUT with the ``resourceVersion`` in ``body``; 409 when the object has moved on."""
        ...

    def delete(self, kind: Kind, body: Object, grace_s: float | None = None) -> None:
        """Delete the object that has the UID of ``body``; 409 when another has taken its name.

        ``grace_s`` is the grace of a pod; its own when None.
        """
        ...

    def evict(self, pod: Object, grace_s: float | None = None) -> None:
        """Ask for the eviction of this very pod; 429 when a PodDisruptionBudget forbids it."""
        ...

    def allowed(self, verb: str, kind: Kind, namespace: str, subresource: str = "") -> bool:
        """Whether we may do this (SelfSubjectAccessReview)."""
        ...


class KubeCluster:
    """A :class:`Cluster` behind a kubeconfig, or the one that this pod runs in.

    Args:
        kubeconfig: One file. Default: ``KUBECONFIG``.
        context: A context in it. Default: its current one.
        in_cluster: Folder of a service account's token and CA; then the cluster is the one that
            ``KUBERNETES_SERVICE_HOST`` names, and no kubeconfig is looked at. Never a fallback.
        read_s: Bound of the wait for an answer, in seconds.

    Raises:
        TargetError: When the file, or the context in it, is not there or cannot be used.
    """

    def __init__(
        self,
        kubeconfig: str = "",
        context: str = "",
        *,
        in_cluster: str = "",
        read_s: float = READ_S,
    ) -> None:
        from kubernetes import client

        settings = client.Configuration()
        settings.retries = False  # Ours are bounded and know what may be repeated.
        if in_cluster:
            load_service_account(settings, Path(in_cluster))
        else:
            load_kubeconfig(settings, kubeconfig or os.environ.get("KUBECONFIG", ""), context)
        self._bounds_s = (CONNECT_S, read_s)
        api = client.ApiClient(settings)
        self._core = client.CoreV1Api(api)
        self._groups = client.CustomObjectsApi(api)  # It knows the URLs of every group.
        self._reviews = client.AuthorizationV1Api(api)
        self._served = client.ApisApi(api).get_api_versions
        self._versions: dict[Kind, str] = {}

    def items(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Object]:
        options = {"label_selector": selector} if selector else {}
        everywhere = namespace is None or not kind.namespaced
        where = "" if not kind.namespaced else " everywhere" if everywhere else f" in {namespace}"
        what = f"list {kind.plural}{where}" + (f" with {selector}" if selector else "")
        if kind.group:
            verb = "list_cluster_custom_object" if everywhere else "list_namespaced_custom_object"
            call, args = self._of_group(kind, verb, None if everywhere else namespace)
        elif not kind.namespaced:
            call, args = getattr(self._core, f"list_{_snake(kind)}"), ()
        elif everywhere:
            call, args = getattr(self._core, f"list_{_snake(kind)}_for_all_namespaces"), ()
        else:
            call, args = getattr(self._core, f"list_namespaced_{_snake(kind)}"), (namespace,)
        answer = self._raw(what, call, args, **options)
        version = self._versions.get(kind, kind.versions[0])
        api_version = f"{kind.group}/{version}" if kind.group else version
        # Items of a list lack what a PUT needs.
        return [
            {"apiVersion": api_version, "kind": kind.name, **item}
            for item in answer.get("items") or ()
        ]

    def read(self, kind: Kind, namespace: str, name: str) -> Object:
        what = f"get {kind.subject(name)}{_in(kind, namespace)}"
        found: Object = self._raw(what, *self._on("get", kind, namespace, name))
        return found

    def create(self, kind: Kind, body: Object) -> Object:
        name, namespace = _address(body)
        what = f"create {kind.subject(name)}{_in(kind, namespace)}"
        version = self._version(kind)
        body = {**body, "apiVersion": f"{kind.group}/{version}" if kind.group else version}
        call, args = self._on("create", kind, namespace, "")
        made: Object = self._raw(what, call, (*args, body), field_manager=FIELD_MANAGER)
        return made

    def replace(self, kind: Kind, body: Object) -> Object:
        name, namespace = _address(body)
        what = f"replace {kind.subject(name)}{_in(kind, namespace)}"
        call, args = self._on("replace", kind, namespace, name)
        put: Object = self._raw(what, call, (*args, body), field_manager=FIELD_MANAGER)
        return put

    def delete(self, kind: Kind, body: Object, grace_s: float | None = None) -> None:
        name, namespace = _address(body)
        what = f"delete {kind.subject(name)}{_in(kind, namespace)}"
        call, args = self._on("delete", kind, namespace, name)
        self._raw(what, call, args, body=_delete_options(body, grace_s))

    def evict(self, pod: Object, grace_s: float | None = None) -> None:
        name, namespace = _address(pod)
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": _delete_options(pod, grace_s),
        }
        call = self._core.create_namespaced_pod_eviction
        self._raw(f"evict pod/{name} in {namespace}", call, (name, namespace, eviction))

    def allowed(self, verb: str, kind: Kind, namespace: str, subresource: str = "") -> bool:
        attributes = {"verb": verb, "group": kind.group, "resource": kind.plural}
        attributes |= {"namespace": namespace} if kind.namespaced else {}
        attributes |= {"subresource": subresource} if subresource else {}
        body = {"spec": {"resourceAttributes": attributes}}
        what = f"ask whether we may {verb} {kind.plural}"
        answer = self._raw(what, self._reviews.create_self_subject_access_review, (body,))
        return bool((answer.get("status") or {}).get("allowed"))

    def _on(
        self, verb: str, kind: Kind, namespace: str, name: str
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The client's method for one object, and its first arguments."""
        if kind.group:
            scope = "namespaced" if kind.namespaced else "cluster"
            call, args = self._of_group(
                kind, f"{verb}_{scope}_custom_object", namespace if kind.namespaced else None
            )
            return call, (*args, name) if name else args
        verb = "read" if verb == "get" else verb
        scope = "namespaced_" if kind.namespaced else ""
        parts = (name, namespace if kind.namespaced else "")
        return getattr(self._core, f"{verb}_{scope}{_snake(kind)}"), tuple(filter(None, parts))

    def _of_group(
        self, kind: Kind, method: str, namespace: str | None
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        place = (kind.group, self._version(kind), *([namespace] if namespace else []))
        return getattr(self._groups, method), (*place, kind.plural)

    def _version(self, kind: Kind) -> str:
        """The best version of a kind's group that this cluster serves.

        Raises:
            ApiRefusalError: With status 404, when it serves none that we can speak.
        """
        if not kind.group:
            return kind.versions[0]
        if kind not in self._versions:
            groups = self._raw(f"look for the API {kind.group}", self._served, ())
            served = {
                version["version"]
                for group in groups.get("groups") or ()
                if group.get("name") == kind.group
                for version in group.get("versions") or ()
            }
            known = [version for version in kind.versions if version in served]
            if not known:
                wanted = f"{kind.group} in one of the versions {', '.join(kind.versions)}"
                raise ApiRefusalError(f"this cluster has no {kind.plural}", 404, f"no {wanted}")
            self._versions[kind] = known[0]
        return self._versions[kind]

    def _raw(self, what: str, call: Callable[..., Any], args: tuple[Any, ...], **more: Any) -> Any:
        """The answer as it came: the client's models differ by version, and some are strict."""
        answer = self._call(what, call, args, _preload_content=False, **more)
        try:
            return json.loads(answer.data)
        except ValueError as error:
            raise ApiRefusalError(what, 0, f"the answer is not JSON ({error})") from error

    def _call(
        self, what: str, call: Callable[..., Any], args: tuple[Any, ...], **options: Any
    ) -> Any:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return call(*args, _request_timeout=self._bounds_s, **options)
        except ApiException as error:
            raise ApiRefusalError(what, error.status or 0, _reason(error)) from error
        except (HTTPError, OSError) as error:
            raise ApiRefusalError(what, 0, f"no answer ({_first_line(error)})") from error


def _reason(error: Any) -> str:
    """The API server's own sentence, with the causes of a refused eviction; or the HTTP reason."""
    try:
        status = json.loads(error.body)
        causes = (status.get("details") or {}).get("causes") or ()
        more = [str(one.get("message", "")) for one in causes if error.status == 429]
        return " ".join(filter(None, (str(status["message"]), *more)))
    except (ValueError, TypeError, KeyError, AttributeError):
        return str(error.reason or "no reason given")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def edit(
    cluster: Cluster,
    kind: Kind,
    current: Object,
    change: Callable[[Object], Object | None],
    *,
    deadline_s: float = EDIT_DEADLINE_S,
    pause: Callable[[float], None] = time.sleep,
) -> Object | None:
    """Change an object in one request, from what is there now, again after a conflict.

    Conflicts, overload, server errors and lost answers are repeated from a fresh read until
    ``deadline_s`` has passed. ``change`` must be idempotent: a request may have taken although its
    answer was lost.

    Args:
        cluster: Where.
        kind: What it is.
        current: The object as last read; used for the first try.
        change: Pure function from the object to what it should be; to None when it should go.
        deadline_s: Bound for all tries together, in seconds.
        pause: Waits between tries.

    Returns:
        The object as it is now; None when it does not exist (any more).

    Raises:
        ApiRefusalError: When it was refused for good, or the deadline has passed.
    """
    until_s = time.monotonic() + deadline_s
    name, namespace = _address(current)
    wait_s = 0.05
    fresh: Object | None = current
    while True:
        try:
            if fresh is None:
                fresh = cluster.read(kind, namespace, name)
            wanted = change(fresh)
            if wanted is None:
                cluster.delete(kind, fresh)
                return None
            return fresh if wanted == fresh else cluster.replace(kind, wanted)
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


def _address(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return str(metadata["name"]), str(metadata.get("namespace") or "")


def _in(kind: Kind, namespace: str) -> str:
    return f" in {namespace}" if kind.namespaced else ""


def _delete_options(obj: Object, grace_s: float | None) -> Object:
    """Of this very object: one that has taken its name meanwhile stays."""
    options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if uid := obj["metadata"].get("uid"):
        options["preconditions"] = {"uid": uid}
    if grace_s is not None:
        options["gracePeriodSeconds"] = round(grace_s)
    return options


def _snake(kind: Kind) -> str:
    """``ConfigMap`` as the client's methods spell it: ``config_map``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.name).lower()
