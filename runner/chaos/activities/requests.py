"""Requests that are delayed or refused in their callers' proxies: copies of routes."""

from __future__ import annotations

import time
from collections.abc import Mapping

from runner.chaos import virtualservice
from runner.chaos.activities.around import activity
from runner.chaos.activities.shared import connect, make_tag, subject_of
from runner.chaos.annotation import Tag, fault_key
from runner.chaos.client import ApiRefusalError, Cluster, edit, patiently
from runner.chaos.effects import log, record
from runner.chaos.objects import VIRTUAL_SERVICES, Object
from runner.errors import FaultError

STEP_S = 0.2
LOOK_EVERY_S = 2.0


@activity
def delay_requests(
    *,
    service: str,
    namespace: str,
    run: str,
    fault: str,
    delay_s: float,
    percent: float = 100.0,
    headers: Mapping[str, str] | None = None,
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Delay requests to ``service`` in their callers' proxies by ``delay_s``.

    Args:
        service: Kubernetes Service.
        namespace: Its namespace, where its VirtualServices are looked for.
        run: Id of the run; with ``fault``, the name under which it is found again.
        fault: Id of the fault in the run.
        delay_s: Seconds added to each request that is hit.
        percent: Share of the requests that are hit, above 0 to 100.
        headers: Hit only requests with these headers and values.
        expires_at_wall_s: Unix time from which anybody may remove it; in an hour by default.
        owner: Who is responsible; user and host by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The VirtualServices that were changed, as ``virtualservice/<name>``.
    """
    block = virtualservice.delay_block(delay_s, percent)
    tag = make_tag(
        run,
        fault,
        owner=owner,
        expires_at_wall_s=expires_at_wall_s,
        service=service,
        block=block,
        headers=_lowered(headers),
    )
    return _inject(connect(kubeconfig, context), namespace, tag, effects)


@activity
def abort_requests(
    *,
    service: str,
    namespace: str,
    run: str,
    fault: str,
    status: int,
    percent: float = 100.0,
    headers: Mapping[str, str] | None = None,
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Answer requests to ``service`` with ``status`` in their callers' proxies.

    Arguments and result are those of :func:`delay_requests`; ``status`` is the HTTP status.
    """
    block = virtualservice.abort_block(status, percent)
    tag = make_tag(
        run,
        fault,
        owner=owner,
        expires_at_wall_s=expires_at_wall_s,
        service=service,
        block=block,
        headers=_lowered(headers),
    )
    return _inject(connect(kubeconfig, context), namespace, tag, effects)


@activity
def routes_exist(service: str, namespace: str, kubeconfig: str = "", context: str = "") -> bool:
    """Whether some VirtualService routes HTTP requests to ``service``."""
    affected(connect(kubeconfig, context), namespace, service)
    return True


@activity
def fault_is_in_place(
    *,
    namespace: str,
    service: str,
    run: str,
    fault: str,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether every VirtualService with a route to ``service``, read back, carries the fault."""
    cluster = connect(kubeconfig, context)
    for subject, names in _in_place(cluster, namespace, service, run, fault).items():
        record("verified", subject, ", ".join(names), effects)
    return True


@activity
def fault_holds(
    *,
    namespace: str,
    service: str,
    run: str,
    fault: str,
    until_wall_s: float,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Wait until the Unix time ``until_wall_s`` and see that the fault stays in place.

    Fails at once when somebody takes the fault away before its end (or when it never was there). An
    API server that does not answer meanwhile is no reason to end.
    """
    cluster = connect(kubeconfig, context)
    next_look_s = 0.0
    while (left_s := until_wall_s - time.time()) > 0:
        if time.time() >= next_look_s and left_s > STEP_S:
            try:
                _in_place(cluster, namespace, service, run, fault)
            except ApiRefusalError as error:
                log.warning("cannot see the fault: %s", error.message)
            next_look_s = time.time() + LOOK_EVERY_S
        time.sleep(max(0.0, min(until_wall_s - time.time(), STEP_S)))
    return True


def affected(cluster: Cluster, namespace: str, service: str) -> list[Object]:
    """The VirtualServices of ``namespace`` with an HTTP route to ``service``.

    Raises:
        FaultError: When there is none; says which ones were looked at.
    """
    all_of_them = patiently(lambda: cluster.items(VIRTUAL_SERVICES, namespace))
    found = [vs for vs in all_of_them if virtualservice.routes_to(vs, service)]
    if not found:
        names = ", ".join(sorted(vs["metadata"]["name"] for vs in all_of_them)) or "none there"
        raise FaultError(
            f"no VirtualService in {namespace} routes HTTP requests to {service}; "
            f"looked at: {names}",
            accepted=f"a route with the destination host {service} or {service}.{namespace}.svc…",
        )
    return found


def _inject(cluster: Cluster, namespace: str, tag: Tag, effects: str) -> list[str]:
    changed = []
    for vs in affected(cluster, namespace, tag.service):
        subject = subject_of(vs)
        after = edit(cluster, VIRTUAL_SERVICES, vs, lambda now: virtualservice.add_fault(now, tag))
        if after is None:
            raise FaultError(f"{subject} was deleted while the fault was injected")
        names = virtualservice.copies(after, tag.run, tag.fault)
        record("injected", subject, ", ".join(names), effects)
        changed.append(subject)
    return changed


def _in_place(
    cluster: Cluster, namespace: str, service: str, run: str, fault: str
) -> dict[str, list[str]]:
    """The names of the fault's routes by VirtualService; fails where there is none."""
    found = {}
    for vs in affected(cluster, namespace, service):
        names = virtualservice.copies(vs, run, fault)
        if not names:
            raise FaultError(f"{subject_of(vs)} does not carry {fault_key(run, fault)} (any more)")
        found[subject_of(vs)] = names
    return found


def _lowered(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}
