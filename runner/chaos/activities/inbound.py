"""Requests that are delayed or refused in front of chosen pods: EnvoyFilters on their inbound side.

This is what callers' breakers see, unlike a fault in the callers' own proxies
(:mod:`runner.chaos.activities.requests`).
"""

from __future__ import annotations

from runner.chaos import envoyfilter, labelled
from runner.chaos.activities.around import activity
from runner.chaos.activities.holding import hold
from runner.chaos.activities.owning import place, placed, selector_of, tag_of
from runner.chaos.activities.requests import Headers, http_tag
from runner.chaos.activities.shared import BY_HAND, connect
from runner.chaos.annotation import Tag, fault_key
from runner.chaos.client import Cluster, edit, patiently
from runner.chaos.effects import log, record
from runner.chaos.kills import at_most
from runner.chaos.objects import ENVOY_FILTERS, PODS, Object
from runner.chaos.pods import candidates
from runner.chaos.scopes import conditions
from runner.errors import FaultError
from runner.model.faultmark import HIT_PREFIX
from runner.model.labels import selector_text
from runner.model.target import Bounds


@activity
def delay_inbound_requests(
    *,
    service: str,
    namespace: str,
    delay_s: float,
    percent: float = 100.0,
    headers: Headers | None = None,
    count: int | str | None = None,
    max_pods: int | None = None,
    max_percent: float | None = None,
    min_healthy: int = 0,
    seed: int = 0,
    run: str = BY_HAND,
    fault: str = "",
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Delay requests that have arrived at pods of ``service`` by ``delay_s``.

    Args:
        service: Kubernetes Service, whose selector finds the pods.
        namespace: Its namespace.
        delay_s: Seconds added to each request that is hit.
        percent: Share of the requests that are hit, above 0 to 100.
        headers: Hit only requests with these headers: name to a value, or to one of ``exact``,
            ``prefix`` and ``regex`` with a text.
        count: In front of how many of the ready pods: a number, a share such as ``50%`` (rounded
            down, at least one), or ``all``. All of them by default, and then also those that start
            meanwhile.
        max_pods: Refuse to hit more.
        max_percent: Refuse to hit a larger share of the ready ones (0 to 100, rounded down).
        min_healthy: Refuse to leave fewer ready ones alone.
        seed: Seed of the choice.
        run: Id of the run; with ``fault``, the name under which it is found again.
        fault: Id of the fault in the run; ``http-delay-<service>`` by default.
        expires_at_wall_s: Unix time from which anybody may remove it; in an hour by default.
        owner: Who is responsible; user and host by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The EnvoyFilter, and the pods in front of which it acts, as ``pod/<name>``.
    """
    scope = {"service": service, "headers": conditions(headers)}
    config = envoyfilter.delay_config(delay_s, percent)
    tag = http_tag("http-delay", run, fault, owner, expires_at_wall_s, block=config, **scope)
    cluster, bounds = connect(kubeconfig, context), at_most(max_pods, max_percent, min_healthy)
    return _inject(cluster, namespace, tag, count=count, seed=seed, bounds=bounds, effects=effects)


@activity
def abort_inbound_requests(
    *,
    service: str,
    namespace: str,
    status: int,
    percent: float = 100.0,
    headers: Headers | None = None,
    count: int | str | None = None,
    max_pods: int | None = None,
    max_percent: float | None = None,
    min_healthy: int = 0,
    seed: int = 0,
    run: str = BY_HAND,
    fault: str = "",
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Answer requests that have arrived at pods of ``service`` with ``status``, in their place.

    Arguments and result are those of :func:`delay_inbound_requests`; ``status`` is the HTTP status,
    and ``fault`` is ``http-abort-<service>`` by default.
    """
    scope = {"service": service, "headers": conditions(headers)}
    config = envoyfilter.abort_config(status, percent)
    tag = http_tag("http-abort", run, fault, owner, expires_at_wall_s, block=config, **scope)
    cluster, bounds = connect(kubeconfig, context), at_most(max_pods, max_percent, min_healthy)
    return _inject(cluster, namespace, tag, count=count, seed=seed, bounds=bounds, effects=effects)


@activity
def pods_have_proxies(
    *,
    service: str,
    namespace: str,
    count: int | str | None = None,
    max_pods: int | None = None,
    max_percent: float | None = None,
    min_healthy: int = 0,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Whether ``service`` has enough ready pods with Istio's proxy, and there are EnvoyFilters."""
    cluster = connect(kubeconfig, context)
    patiently(lambda: cluster.items(ENVOY_FILTERS, namespace))
    _, pods = _pods(cluster, namespace, service)
    bounds = at_most(max_pods, max_percent, min_healthy)
    envoyfilter.choose(pods, count, 0, service, bounds)
    return True


@activity
def inbound_fault_is_in_place(
    *,
    namespace: str,
    fault: str,
    run: str = BY_HAND,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Whether the fault's EnvoyFilter, read back, is there and acts in front of some ready pod."""
    cluster = connect(kubeconfig, context)
    there = placed(cluster, ENVOY_FILTERS, namespace, run, fault)
    pods = _behind(cluster, namespace, there)
    subject = ENVOY_FILTERS.subject(there["metadata"]["name"])
    record("verified", subject, f"in front of {', '.join(envoyfilter.names(pods))}", effects)
    return True


@activity
def inbound_fault_holds(
    *,
    namespace: str,
    fault: str,
    until_wall_s: float,
    run: str = BY_HAND,
    kubeconfig: str = "",
    context: str = "",
) -> bool:
    """Wait until the Unix time ``until_wall_s`` and see that the fault stays in place.

    Fails at once when somebody takes it away before its end, when it expires before that, or when
    all the pods that were chosen are gone.
    """
    cluster = connect(kubeconfig, context)

    def look() -> list[Tag | None]:
        there = placed(cluster, ENVOY_FILTERS, namespace, run, fault)
        labels = envoyfilter.labels_of(there)
        chosen = any(name.startswith(HIT_PREFIX) for name in labels)
        if chosen and not cluster.items(PODS, namespace, selector_text(labels)):
            name = there["metadata"]["name"]
            raise FaultError(f"envoyfilter/{name} stands in front of nobody: its pods are gone")
        return [tag_of(there, fault_key(run, fault))]

    hold(until_wall_s, look)
    return True


def _inject(
    cluster: Cluster,
    namespace: str,
    tag: Tag,
    *,
    count: int | str | None,
    seed: int,
    bounds: Bounds,
    effects: str,
) -> list[str]:
    labels, pods = _pods(cluster, namespace, tag.service)
    chosen = envoyfilter.choose(pods, count, seed, tag.service, bounds)
    names = envoyfilter.names(chosen)
    if not envoyfilter.everyone(count):
        log.info("of %s, chosen with seed %s: %s", envoyfilter.names(pods), seed, names)
        # Before the filter: a label that nothing selects harms nobody.
        for pod in chosen:
            _mark(cluster, pod, tag, effects)
        labels = envoyfilter.marks(tag)
    body = envoyfilter.make(namespace, tag, tag.block, tag.conditions, labels)
    subject = place(cluster, ENVOY_FILTERS, body)
    record("injected", subject, f"in front of {', '.join(names)}", effects)
    return [subject, *names]


def _pods(cluster: Cluster, namespace: str, service: str) -> tuple[dict[str, str], list[Object]]:
    labels = selector_of(cluster, namespace, service)
    return labels, patiently(lambda: cluster.items(PODS, namespace, selector_text(labels)))


def _mark(cluster: Cluster, pod: Object, tag: Tag, effects: str) -> None:
    """Label this very pod: one that has taken its name meanwhile was not chosen."""
    (subject,) = envoyfilter.names([pod])

    def marked(now: Object) -> Object:
        if now["metadata"]["uid"] != pod["metadata"]["uid"]:
            raise FaultError(f"{subject} was replaced before the fault was in front of it")
        return labelled.mark(now, tag)

    if edit(cluster, PODS, pod, marked) is None:
        raise FaultError(f"{subject} was deleted before the fault was in front of it")
    record("injected", subject, f"label {labelled.label_of(tag.key)}", effects)


def _behind(cluster: Cluster, namespace: str, there: Object) -> list[Object]:
    """The ready pods in front of which the fault acts.

    Raises:
        FaultError: When there are none.
    """
    wanted = selector_text(envoyfilter.labels_of(there))
    found = candidates(patiently(lambda: cluster.items(PODS, namespace, wanted)))
    if not found:
        raise FaultError(
            f"envoyfilter/{there['metadata']['name']} stands in front of no ready pod",
        )
    return found
