"""Are pods whole, with their sidecars, and is there somebody behind each Service? Pure."""

from __future__ import annotations

from collections.abc import Iterable

from runner.targets.inspection import Objects
from runner.targets.istio import rules_for
from runner.targets.symptom import Symptom, several
from runner.targets.workloads import (
    has_sidecar,
    is_over,
    is_ready,
    named,
    pods_of,
    ready_addresses,
    ready_of,
    selector_of,
)

CLOCK_WARN_S, CLOCK_REFUSE_S = 2.0, 30.0
"""Clocks further apart than this are told; and than this, times on record would mean nothing."""

DEFAULT_EJECTION_PERCENT = 10.0
"""What Envoy takes where a DestinationRule does not say."""


def health_symptoms(objects: Objects, namespace: str) -> tuple[Symptom, ...]:
    """Pods and the Services before them."""
    return (_pods(objects, namespace), _sidecars(objects), _endpoints(objects))


def _pods(objects: Objects, namespace: str) -> Symptom:
    pods = [pod for pod in objects.of("pods") if not is_over(pod)]
    if not pods:
        found = f"there is no pod in the namespace {namespace}"
        return Symptom("pods", "missing", found, "is it the right namespace?")
    unready = [f"{p['metadata']['name']} {ready_of(p)}" for p in pods if not is_ready(p)]
    found = f"{len(pods) - len(unready)} of {len(pods)} ready"
    if unready:
        return Symptom("pods", "warn", f"{found}; not: {several(unready)}")
    shown = sorted({ready_of(pod) for pod in pods})
    return Symptom("pods", "ok", f"{found} ({', '.join(shown)})")


def _sidecars(objects: Objects) -> Symptom:
    """Pods behind Services, in the mesh or not; Jobs and the like may well be outside."""
    known: dict[str, bool] = {}
    for service in named(objects.of("services")):
        for pod in pods_of(service, objects):
            known[str(pod["metadata"]["name"])] = has_sidecar(pod)
    bare = [name for name, inside in sorted(known.items()) if not inside]
    if bare:
        hint = "calls from and to them are not seen, and no fault hits them"
        return Symptom("sidecars", "warn", f"without istio-proxy: {several(bare)}", hint)
    return Symptom("sidecars", "ok", f"in all {len(known)} pods behind Services")


def _endpoints(objects: Objects) -> Symptom:
    services = [name for name, one in named(objects.of("services")).items() if selector_of(one)]
    empty = [name for name in sorted(services) if not ready_addresses(name, objects)]
    if empty:
        return Symptom("endpoints", "warn", f"no ready endpoint: {several(empty)}")
    return Symptom("endpoints", "ok", f"each of {len(services)} Services has ready ones")


def clock_symptoms(skews_s: Iterable[tuple[str, float | None]]) -> tuple[Symptom, ...]:
    """Whether the clocks agree with ours; ``skews_s`` are (whose, seconds ahead of ours)."""
    known = [(whose, skew_s) for whose, skew_s in skews_s if skew_s is not None]
    worst_s = max((abs(skew_s) for _, skew_s in known), default=0.0)
    if not known:
        return (Symptom("clocks", "warn", "nobody told the time"),)
    if worst_s <= CLOCK_WARN_S:
        told = " and ".join(map(_possessive, (whose for whose, _ in known)))
        return (Symptom("clocks", "ok", f"{told} agree with ours within {CLOCK_WARN_S:g} s"),)
    apart = "; ".join(
        f"{_possessive(whose)} clock is {abs(skew_s):.1f} s {_way(skew_s)} ours"
        for whose, skew_s in known
        if abs(skew_s) > CLOCK_WARN_S
    )
    hint = "set the clocks; a fault's time and the signals' would not be the same"
    return (Symptom("clocks", "missing" if worst_s > CLOCK_REFUSE_S else "warn", apart, hint),)


def _way(skew_s: float) -> str:
    return "ahead of" if skew_s > 0 else "behind"


def _possessive(whose: str) -> str:
    return f"{whose}'" if whose.endswith("s") else f"{whose}'s"


def ejectable(service: str, objects: Objects, namespace: str) -> tuple[int | None, str]:
    """How many pods of ``service`` its breaker may eject at once, and what says so.

    None when there is no breaker that ejects. Envoy counts strictly: the ejected must not be more
    than ``maxEjectionPercent`` of all, and the mesh never asks it to eject one host at least. 10 %
    is the default.
    """
    pods = len([pod for pod in pods_of(service, objects) if is_ready(pod)])
    ejected: int | None = None
    why = f"no DestinationRule of {service} has an outlierDetection"
    for rule in rules_for(service, objects, namespace):
        spec = rule.get("spec") or {}
        policies = [spec.get("trafficPolicy") or {}]
        policies += [one.get("trafficPolicy") or {} for one in spec.get("subsets") or ()]
        policies += [p for one in policies for p in one.get("portLevelSettings") or ()]
        for detection in [p["outlierDetection"] for p in policies if p.get("outlierDetection")]:
            percent = detection.get("maxEjectionPercent")
            share = DEFAULT_EJECTION_PERCENT if percent is None else float(percent)
            most = int(pods * share / 100 + 1e-9)
            if ejected is None or most > ejected:
                ejected = most
                said = "the default" if percent is None else "maxEjectionPercent"
                why = (
                    f"{share:g} % ({said} of destinationrule/{rule['metadata']['name']}) "
                    f"of {pods} {'pod' if pods == 1 else 'pods'}"
                )
    return ejected, why
