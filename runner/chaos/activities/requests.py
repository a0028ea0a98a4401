"""Requests that are delayed or refused in their callers' proxies: copies of routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.chaos import virtualservice
from runner.chaos.activities.around import activity
from runner.chaos.activities.holding import hold
from runner.chaos.activities.shared import BY_HAND, connect, make_tag, subject_of
from runner.chaos.annotation import Tag
from runner.chaos.client import Cluster, edit, patiently
from runner.chaos.effects import record
from runner.chaos.objects import VIRTUAL_SERVICES, Object
from runner.chaos.scopes import conditions
from runner.errors import FaultError

Headers = Mapping[str, str | Mapping[str, str]]


@activity
def delay_requests(
    *,
    service: str,
    namespace: str,
    delay_s: float,
    percent: float = 100.0,
    headers: Headers | None = None,
    source: Mapping[str, str] | None = None,
    route: str = "",
    run: str = BY_HAND,
    fault: str = "",
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
        delay_s: Seconds added to each request that is hit.
        percent: Share of the requests that are hit, above 0 to 100.
        headers: Hit only requests with these headers: name to a value, or to one of ``exact``,
            ``prefix`` and ``regex`` with a text.
        source: Hit only requests of callers whose pods have these labels.
        route: Only this route: its name, or ``#2`` for the user's second one.
        run: Id of the run; with ``fault``, the name under which it is found again.
        fault: Id of the fault in the run; ``http-delay-<service>`` by default.
        expires_at_wall_s: Unix time from which anybody may remove it; in an hour by default.
        owner: Who is responsible; user and host by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The VirtualServices that were changed, as ``virtualservice/<name>``.
    """
    block = virtualservice.delay_block(delay_s, percent)
    scope = scope_of(service, headers, source, route)
    tag = http_tag("http-delay", run, fault, owner, expires_at_wall_s, block=block, **scope)
    return _inject(connect(kubeconfig, context), namespace, tag, effects)


@activity
def abort_requests(
    *,
    service: str,
    namespace: str,
    status: int,
    percent: float = 100.0,
    headers: Headers | None = None,
    source: Mapping[str, str] | None = None,
    route: str = "",
    run: str = BY_HAND,
    fault: str = "",
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Answer requests to ``service`` with ``status`` in their callers' proxies.

    Arguments and result are those of :func:`delay_requests`; ``status`` is the HTTP status, and
    ``fault`` is ``http-abort-<service>`` by default.
    """
    block = virtualservice.abort_block(status, percent)
    scope = scope_of(service, headers, source, route)
    tag = http_tag("http-abort", run, fault, owner, expires_at_wall_s, block=block, **scope)
    return _inject(connect(kubeconfig, context), namespace, tag, effects)


@activity
def routes_exist(
    service: str,
    namespace: str,
    kubeconfig: str = "",
    context: str = "",
    *,
    headers: Headers | None = None,
    source: Mapping[str, str] | None = None,
    route: str = "",
) -> bool:
    """Whether some VirtualService routes HTTP requests to ``service``, of those that are meant."""
    wanted = Tag("", "", "", "", **scope_of(service, headers, source, route))
    affected(connect(kubeconfig, context), namespace, wanted)
    return True


@activity
def fault_is_in_place(
    *,
    namespace: str,
    service: str,
    fault: str,
    run: str = BY_HAND,
    headers: Headers | None = None,
    source: Mapping[str, str] | None = None,
    route: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether every VirtualService with such a route to ``service``, read back, has the fault."""
    cluster = connect(kubeconfig, context)
    wanted = Tag(run, fault, "", "", **scope_of(service, headers, source, route))
    for subject, (names, _) in _in_place(cluster, namespace, wanted).items():
        record("verified", subject, ", ".join(names), effects)
    return True


@activity
def fault_holds(
    *,
    namespace: str,
    service: str,
    fault: str,
    until_wall_s: float,
    run: str = BY_HAND,
    headers: Headers | None = None,
    source: Mapping[str, str] | None = None,
    route: str = "",
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Wait until the Unix time ``until_wall_s`` and see that the fault stays in place.

    Fails at once when somebody takes the fault away before its end (or when it never was there), or
    when it expires before that. An API server that does not answer meanwhile is no reason to end.
    """
    cluster = connect(kubeconfig, context)
    wanted = Tag(run, fault, "", "", **scope_of(service, headers, source, route))
    hold(until_wall_s, lambda: [tag for _, tag in _in_place(cluster, namespace, wanted).values()])
    return True


def affected(cluster: Cluster, namespace: str, wanted: Tag) -> list[Object]:
    """The VirtualServices of ``namespace`` with a route that the fault of a tag can be put on.

    Raises:
        FaultError: When there is none, or Istio has no match for what is meant; says which ones
            were looked at.
    """
    all_of_them = patiently(lambda: cluster.items(VIRTUAL_SERVICES, namespace))
    found = [vs for vs in all_of_them if virtualservice.reach(vs, wanted)]
    if found:
        return found
    service, scope = wanted.service, virtualservice.scope_text(wanted)
    named = [vs for vs in all_of_them if virtualservice.routes_to(vs, service)]
    names = ", ".join(sorted(vs["metadata"]["name"] for vs in named or all_of_them))
    if named:
        raise FaultError(
            f"no route to {service} can be disturbed{scope}; looked at: {names}",
            accepted=virtualservice.ACCEPTED_ROUTE,
        )
    raise FaultError(
        f"no VirtualService in {namespace} routes HTTP requests to {service}; "
        f"looked at: {names or 'none there'}",
        accepted=f"a route with the destination host {service} or {service}.{namespace}.svc…",
    )


def http_tag(
    kind: str, run: str, fault: str, owner: str, expires_at_wall_s: float | None, **more: Any
) -> Tag:
    """The tag of a fault on requests, on either side; its id is ``<kind>-<service>`` by default.

    Args:
        kind: ``http-delay`` or ``http-abort``.
        run: Id of the run.
        fault: Id of the fault in it; empty for the default.
        owner: Who is responsible.
        expires_at_wall_s: Unix time of its expiry; None for an hour from now.
        more: Other fields of the tag, the ``service`` among them.

    Raises:
        FaultError: When its time is over already.
    """
    name = fault or f"{kind}-{more['service']}"
    return make_tag(run, name, owner=owner, expires_at_wall_s=expires_at_wall_s, kind=kind, **more)


def scope_of(
    service: str, headers: Headers | None, source: Mapping[str, str] | None, route: str
) -> dict[str, Any]:
    """Which requests a client-side fault is for, as fields of a tag.

    Raises:
        FaultError: For a header or condition that Istio would refuse or ignore.
    """
    return {
        "service": service,
        "headers": conditions(headers),
        "source": dict(source or {}),
        "route": route,
    }


def _inject(cluster: Cluster, namespace: str, tag: Tag, effects: str) -> list[str]:
    changed = []
    for vs in affected(cluster, namespace, tag):
        subject = subject_of(vs)
        after = edit(cluster, VIRTUAL_SERVICES, vs, lambda now: virtualservice.add_fault(now, tag))
        if after is None:
            raise FaultError(f"{subject} was deleted while the fault was injected")
        names = virtualservice.copies(after, tag.run, tag.fault)
        record("injected", subject, ", ".join(names), effects)
        changed.append(subject)
    return changed


def _in_place(
    cluster: Cluster, namespace: str, wanted: Tag
) -> dict[str, tuple[list[str], Tag | None]]:
    """The names of the fault's routes, and its tag, by VirtualService; fails where it has none."""
    found = {}
    for vs in affected(cluster, namespace, wanted):
        names = virtualservice.copies(vs, wanted.run, wanted.fault)
        if not names:
            raise FaultError(f"{subject_of(vs)} does not carry {wanted.key} (any more)")
        found[subject_of(vs)] = (names, virtualservice.faults_on(vs).get(wanted.key))
    return found
