"""A look at a whole target before a run: ingress, Prometheus, and the load's own file.

Here the looking is put together; what was seen is judged by ``preflight``, which touches nothing.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runner.model.activity import unset_variables
from runner.model.fault import ChaosToolkit
from runner.model.plan import Plan
from runner.model.recording import TargetInfo
from runner.model.rights import rights_needed
from runner.model.target import Rules
from runner.targets.bounds import allowance
from runner.targets.inspection import Objects, read_objects
from runner.targets.istio import routes_of
from runner.targets.looking import look
from runner.targets.onhand import absent
from runner.targets.preflight import plan_symptoms, target_flags, target_symptoms
from runner.targets.reach import Paths, path_for, paths_in, reach_of
from runner.targets.symptom import Symptom, refusals, remarks

HEALTH = "/health"
HEALTHY_PREFIXES = ("/api/v1/customers", "/api/v1/orders", "/api/v1/payments")
"""Where smoke tests look for a health path, as far as there are routes for it."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a target says to a plan.

    Attributes:
        refusals: Reasons why it cannot be run there, each a sentence.
        remarks: What is no obstacle, and should be known when the report is read.
        role: YAML of the Role that would grant what is missing; empty when nothing is.
    """

    refusals: tuple[str, ...]
    remarks: tuple[str, ...]
    role: str


def readiness(
    plan: Plan,
    target: TargetInfo,
    rules: Rules,
    *,
    folders: Sequence[Path] = (),
    ignore_alerts: bool = False,
) -> Readiness:
    """Whether ``plan`` can be run on ``target``, which is up, and may be.

    Args:
        plan: The plan.
        target: Where.
        rules: What its owner allows.
        folders: Where the locustfile may be, so that it can be read.
        ignore_alerts: Whether alerts are told only.

    Raises:
        TargetError: When the API server does not answer.
    """
    objects = read_objects(target, rights_needed(plan))
    allowed = allowance(plan, target, objects, rules, ignore_alerts=ignore_alerts)
    found = survey(plan, target, objects, folders)
    return Readiness(
        refusals=(
            *unset(plan, os.environ),
            *absent(plan),
            *refusals(found),
            *allowed.refusals,
        ),
        remarks=(*remarks(found), *allowed.notes),
        role=allowed.role,
    )


def unset(plan: Plan, environment: Container[str]) -> list[str]:
    """Which faults name variables that ``environment`` lacks; their values are nobody's business.

    Args:
        plan: The plan.
        environment: The names that are there.
    """
    foreign = [(one.id, one.fault) for one in plan.faults if isinstance(one.fault, ChaosToolkit)]
    missing = {
        name: unset_variables(fault.configuration, fault.secrets, environment)
        for name, fault in foreign
    }
    return [
        f"{name} needs {', '.join(names)}, which the environment lacks"
        for name, names in missing.items()
        if names
    ]


def survey(
    plan: Plan, target: TargetInfo, objects: Objects, folders: Sequence[Path] = ()
) -> tuple[Symptom, ...]:
    """All that is to be said about ``plan`` on ``target``, before anything is touched.

    Args:
        plan: The plan.
        target: Where; it is up.
        objects: What there is on it.
        folders: Where the locustfile may be, so that it can be read.
    """
    host = host_of(target)
    paths = paths_of(plan, folders)
    seen = look(target, host, [*asked_for(objects, host, paths)])
    reach = reach_of(paths, seen.calls, host=host, objects=objects, namespace=target.namespace)
    return (
        *plan_symptoms(plan, objects, target.namespace, target_flags(target), reach),
        *target_symptoms(objects, seen, target, called=False),
    )


def host_of(target: TargetInfo) -> str:
    """The Host header that the load's requests carry."""
    return target.host or urlsplit(target.ingress_url).hostname or ""


def asked_for(objects: Objects, host: str, paths: Paths = Paths()) -> Iterator[str]:  # noqa: B008
    """What to ask the ingress for: a path of the load's or of a route's, then health paths."""
    yield next(iter(paths.gets), "") or path_for(objects.of("virtualservices"), host)
    prefixes = {
        str((match.get("uri") or {}).get("prefix", "")).rstrip("/")
        for vs in objects.of("virtualservices")
        for route in routes_of(vs)
        for match in route.get("match") or ()
    }
    yield from (prefix + HEALTH for prefix in HEALTHY_PREFIXES if prefix in prefixes)


def paths_of(plan: Plan, folders: Sequence[Path]) -> Paths:
    """The paths in the plan's locustfile; none when it cannot be read."""
    name = plan.experiment.load.locustfile
    for path in (*(folder / name for folder in folders), Path(name)):
        if path.is_file():
            try:
                return paths_in(path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError):
                break
    return Paths()
