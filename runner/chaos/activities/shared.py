"""What all activities have in common: the connection, the way back, who did it, until when."""

from __future__ import annotations

import atexit
import functools
import getpass
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from runner.chaos.activities.around import activity, rollback
from runner.chaos.annotation import Tag, fault_key, timestamp
from runner.chaos.carriers import CARRIERS, Carrier
from runner.chaos.client import ApiRefusalError, Cluster, KubeCluster, edit, patiently
from runner.chaos.effects import record
from runner.chaos.looking import Found, Scope
from runner.chaos.objects import Object
from runner.errors import FaultError
from runner.private import PREFIX as PRIVATE_PREFIX

BY_HAND = "by-hand"
"""The run of a fault whose experiment does not name one."""
DEFAULT_EXPIRY_S = 3600.0
PRIVATE_ENV = "SEATRIAL_PRIVATE"
"""A private folder is removed when the experiment ends."""


_stand_in: ContextVar[Cluster | None] = ContextVar("stand_in", default=None)


@contextmanager
def standing_in(cluster: Cluster) -> Iterator[None]:
    """Meanwhile all activities speak to ``cluster``, whatever they are told: for previews."""
    token = _stand_in.set(cluster)
    try:
        yield
    finally:
        _stand_in.reset(token)


def connect(kubeconfig: str, context: str) -> Cluster:
    """The cluster that an activity acts on."""
    return _stand_in.get() or _connected(kubeconfig, context)


@functools.lru_cache(maxsize=8)
def _connected(kubeconfig: str, context: str) -> Cluster:
    """One client for all activities of an experiment: the first connection costs most."""
    private = Path(os.environ.get(PRIVATE_ENV, ""))
    if private.name.startswith(PRIVATE_PREFIX):
        # Our parent does that too, unless it was killed.
        atexit.register(shutil.rmtree, private, ignore_errors=True)
    return KubeCluster(kubeconfig, context)


@rollback
def remove_fault(
    *,
    namespace: str,
    fault: str,
    run: str = BY_HAND,
    kinds: Iterable[str] = (),
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Remove what bears the name of one fault from all objects that can carry one.

    Idempotent; needs no memory of the injection. What cannot be removed from one object keeps none
    of the others from being made whole; it is named at the end.

    Args:
        namespace: Where.
        fault: Id of the fault in the run; its kind and service (``http-abort-payment-api``) where
            the action that injected it was not told one.
        run: Id of the run; what the actions use when they are not told one by default.
        kinds: Kinds of objects to look at, as plurals; all that can carry a fault by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The objects that were changed or deleted.
    """
    cluster = connect(kubeconfig, context)
    key = fault_key(run, fault)
    removed, problems = [], []
    for carrier, obj, keys in _carrying(cluster, namespace, run, fault, kinds):
        subject = subject_of(obj)
        try:
            after = edit(cluster, carrier.kind, obj, partial(carrier.without, keys=keys))
        except (ApiRefusalError, FaultError) as error:
            problems.append(f"{subject}: {error.message}")
            continue
        removed.append(subject)
        record("removed", subject, key if after is not None else f"{key}, whole object", effects)
    if problems:
        raise FaultError(f"{key} was not removed from {'; '.join(problems)}")
    return removed


@activity
def fault_is_gone(
    *,
    namespace: str,
    fault: str,
    run: str = BY_HAND,
    kinds: Iterable[str] = (),
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether no object bears the name of the fault any more; arguments as :func:`remove_fault`."""
    cluster = connect(kubeconfig, context)
    key = fault_key(run, fault)
    left = [subject_of(obj) for _, obj, _ in _carrying(cluster, namespace, run, fault, kinds)]
    if left:
        raise FaultError(f"{key} is still on {', '.join(left)}")
    record("gone", f"fault/{key}", "", effects)
    return True


def _carrying(
    cluster: Cluster, namespace: str, run: str, fault: str, kinds: Iterable[str]
) -> Iterator[Found]:
    """The objects that carry the fault, each with how it is taken off, as they are found.

    What harms most comes first, and need not wait until all the others have been looked at. A
    marker of rollbacks that only their own experiment can play is looked at when it is asked for.
    """
    wanted = frozenset(kinds)
    scope = Scope(namespace, run=run, fault=fault)
    for carrier in CARRIERS:
        if carrier.kind.plural not in wanted if wanted else carrier.rollback_elsewhere:
            continue
        for obj in _listed(cluster, carrier, namespace, needed=bool(wanted)):
            if keys := scope.keys(carrier, obj, time.time()):
                yield carrier, obj, keys


def _listed(cluster: Cluster, carrier: Carrier, namespace: str, *, needed: bool) -> list[Object]:
    try:
        found: list[Object] = patiently(
            lambda: cluster.items(carrier.kind, namespace, carrier.selector)
        )
    except ApiRefusalError as error:
        if needed or error.status not in (403, 404):
            raise
        return []  # What we may not even see, we cannot have changed.
    return found


def make_tag(
    run: str,
    fault: str,
    *,
    owner: str = "",
    expires_at_wall_s: float | None = None,
    **more: Any,
) -> Tag:
    """The tag of a fault that is injected now: by us, for an hour, unless told otherwise.

    Raises:
        FaultError: When its time is over already: then anybody might remove it at once.
    """
    until_s = time.time() + DEFAULT_EXPIRY_S if expires_at_wall_s is None else expires_at_wall_s
    if until_s <= time.time():
        raise FaultError(
            f"fault {fault} of run {run} would expire before it begins",
            accepted="an expiry (a Unix time) after the fault's end",
        )
    return Tag(run, fault, owner or whoami(), timestamp(until_s), **more)


def subject_of(obj: Object) -> str:
    """``virtualservice/<name>``."""
    return f"{str(obj['kind']).lower()}/{obj['metadata']['name']}"


def whoami() -> str:
    """``user@host``, for people."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
