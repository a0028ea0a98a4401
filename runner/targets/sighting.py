"""What the ingress and Prometheus of a target showed, and what follows from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runner.targets.symptom import State, Symptom, several

STALE_S = 120.0
"""Prometheus mostly looks every 15 to 60 s: a newest sample older than this is of yesterday."""

SOURCE, DESTINATION = "source", "destination"
_ENVOYS = ("envoy", "istio-envoy")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of the ingress to a GET; ``status`` is 0 when there was none."""

    path: str
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def through_envoy(self) -> bool:
        """Whether an Envoy says that it was there."""
        names = {name.lower(): value for name, value in self.headers.items()}
        return names.get("server", "").lower() in _ENVOYS or any(
            name.startswith("x-envoy-") for name in names
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a target from outside of its API server.

    Attributes:
        host: Host header of the requests to the ingress.
        answers: Of the ingress: first for a path that the load asks for, then for health paths.
        data_age_s: Service and reporter to the age of Prometheus' newest sample.
        calls: Who called whom in the last hour: (workload, service) to requests.
        prometheus_skew_s: Its clock minus ours; None when it did not tell.
        data_problem: Why Prometheus could not be asked; empty when it could.
    """

    host: str = ""
    answers: tuple[Answered, ...] = ()
    data_age_s: Mapping[tuple[str, str], float] = field(default_factory=dict)
    calls: Mapping[tuple[str, str], float] = field(default_factory=dict)
    prometheus_skew_s: float | None = None
    data_problem: str = ""


def ingress_symptoms(seen: Seen, url: str, hosts: Sequence[str]) -> tuple[Symptom, ...]:
    """How the ingress answers, and whether an Envoy is on the way.

    Args:
        seen: What was seen.
        url: The ingress, for the reader.
        hosts: What the VirtualServices are for.
    """
    if not seen.answers:
        return ()
    first, *health = seen.answers
    return (_ingress(first, seen.host, url, hosts), *_health(health), *_envoy(seen.answers))


def _ingress(answer: Answered, host: str, url: str, hosts: Sequence[str]) -> Symptom:
    if answer.problem:
        return Symptom("ingress", "missing", answer.problem, "is the target up?")
    found = f"HTTP {answer.status} at {url.rstrip('/')}{answer.path} (Host: {host})"
    if answer.status == 404:
        listed = ", ".join(sorted(set(hosts))) or "none"
        hint = f"is the Host right? the VirtualServices list: {listed}"
        return Symptom("ingress", "warn", found, hint)
    if answer.status >= 500:
        return Symptom("ingress", "warn", found, "is the service behind it ready?")
    return Symptom("ingress", "ok", found)


def _health(answers: Sequence[Answered]) -> tuple[Symptom, ...]:
    """Health paths are a custom: where there is none, nothing is wrong."""
    there = [one for one in answers if one.status and one.status != 404]
    sick = [f"{one.path} answers {one.status}" for one in there if one.status >= 500]
    if sick:
        return (Symptom("health paths", "warn", several(sick)),)
    well = [one.path for one in there if one.status < 400]
    return (Symptom("health paths", "ok", f"well: {several(well)}"),) if well else ()


def _envoy(answers: Sequence[Answered]) -> tuple[Symptom, ...]:
    known = [one for one in answers if one.status]
    if not known:
        return ()
    if any(one.through_envoy for one in known):
        return (Symptom("load's way", "ok", "through an Envoy"),)
    found = "no answer says that it came through an Envoy"
    hint = "what the ingress does, breakers and faults at it, will not be seen"
    return (Symptom("load's way", "warn", found, hint),)


def data_symptom(seen: Seen, services: Sequence[str], *, called: bool = True) -> Symptom:
    """Whether Prometheus has fresh samples about each Service, from both sides of a call.

    Without ``called``, nothing is wrong with a service that nobody has called yet.
    """
    part = "mesh metrics"
    if seen.data_problem:
        return Symptom(part, "missing", seen.data_problem)
    wrong, silent, newest_s = [], [], []
    for service in sorted(services):
        ages = {r: seen.data_age_s.get((service, r)) for r in (SOURCE, DESTINATION)}
        known = [age_s for age_s in ages.values() if age_s is not None]
        if not known:
            silent.append(service)
            continue
        newest_s.append(max(known))
        lacking = [reporter for reporter, age_s in ages.items() if age_s is None]
        if max(known) > STALE_S:
            wrong.append(f"the newest sample about {service} is {max(known):.0f} s old")
        elif lacking:
            wrong.append(f"no sample about {service} has reporter={lacking[0]}")
    if wrong:
        hint = "is every proxy scraped, that of the ingress and those of the pods?"
        return Symptom(part, "warn", several(wrong), hint)
    unheard: State = "warn" if called else "ok"
    if silent and not newest_s:
        return Symptom(part, unheard, "nobody has called a service yet: no samples")
    found = f"newest sample {max(newest_s, default=0.0):.0f} s old or less, from both reporters"
    if silent:
        return Symptom(part, unheard, f"{found}; nobody has called yet: {several(silent)}")
    return Symptom(part, "ok", found)
