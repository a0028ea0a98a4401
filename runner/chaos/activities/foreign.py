"""The marker of a fault made of other people's activities, and a second look at the steady state.

The marker is an object in the namespace that says that a fault is on whose way back lies elsewhere.
It is put before the first activity, and goes when every rollback has succeeded.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from chaoslib import substitute
from chaoslib.activity import run_activity
from chaoslib.exceptions import ChaosException
from chaoslib.hypothesis import within_tolerance

from runner.chaos import owned
from runner.chaos.activities.around import activity, rollback
from runner.chaos.activities.shared import BY_HAND, connect, make_tag, remove_fault
from runner.chaos.annotation import Tag, fault_key
from runner.chaos.client import ApiRefusalError, Cluster, one_line, patiently
from runner.chaos.effects import log, record
from runner.chaos.foreign import STEADY_STATE
from runner.chaos.objects import CONFIG_MAPS
from runner.chaos.witness import watched
from runner.errors import FaultError, SeatrialError

EXIT_WITHOUT_ROLLBACKS = 30
"""The exit code that the library itself uses to end an experiment without its rollbacks."""

LATE_S = 1.0
"""Activities that take longer than their fault by more than this have spoilt the next phase."""

_NO_COMPARISON = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What the library raises when a value cannot be held against its tolerance."""

STEP_S = 0.2
LOOK_EVERY_S = 2.0


@activity
def fault_can_be_marked(namespace: str, kubeconfig: str = "", context: str = "") -> bool:
    """Whether we may put the marker in place, and take it away."""
    cluster = connect(kubeconfig, context)
    for verb in ("create", "list", "delete"):
        if not patiently(partial(cluster.allowed, verb, CONFIG_MAPS, namespace)):
            raise FaultError(
                f"we may not {verb} configmaps in {namespace}",
                accepted="a role that may create, list and delete configmaps: they mark the fault",
            )
    return True


def mark_fault(
    *,
    namespace: str,
    fault: str,
    run: str = BY_HAND,
    service: str,
    activities: Sequence[str] = (),
    rollbacks: Sequence[str] = (),
    expires_at_wall_s: float | None = None,
    owner: str = "",
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Put the marker in place. When that fails, the experiment ends: nothing has been done yet.

    Args:
        namespace: Where.
        run: Id of the run; with ``fault``, the name under which it is found again.
        fault: Id of the fault in the run.
        service: Whom the fault is about.
        activities: Names of what will be done.
        rollbacks: Names of what undoes it.
        expires_at_wall_s: Unix time from which anybody may undo it; in an hour by default.
        owner: Who is responsible; user and host by default.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The marker, as ``configmap/<name>``.
    """
    try:
        tag = make_tag(
            run,
            fault,
            owner=owner,
            expires_at_wall_s=expires_at_wall_s,
            service=service,
            kind="chaostoolkit",
        )
        # From here on it may be there, whatever the answer says.
        watched().marked = True
        name = _put(connect(kubeconfig, context), namespace, tag, activities, rollbacks)
    except SeatrialError as error:
        _end(f"the fault cannot be marked: {one_line(error)}")
        raise SystemExit(EXIT_WITHOUT_ROLLBACKS) from error
    subject = CONFIG_MAPS.subject(name)
    record("injected", subject, "marker", effects)
    return [subject]


def _end(reason: str) -> None:
    log.error("%s", reason)
    with contextlib.suppress(FaultError):  # It may be the witness that is missing.
        watched().ended = reason


def _put(
    cluster: Cluster,
    namespace: str,
    tag: Tag,
    activities: Sequence[str],
    rollbacks: Sequence[str],
) -> str:
    """Create the marker, again while that fails for passing reasons; its name."""
    data = {
        "about": "A fault made of Chaos Toolkit activities is on. Its rollbacks stand in the run's "
        "folder; deleting this object undoes nothing.",
        "undo": f"seatrial heal {tag.run}  (on the machine that has the run's folder)",
        "activities": "\n".join(activities),
        "rollbacks": "\n".join(rollbacks),
    }
    body = owned.make(CONFIG_MAPS, namespace, tag, {"data": data})
    name = str(body["metadata"]["name"])

    def create() -> str:
        try:
            cluster.create(CONFIG_MAPS, body)
        except ApiRefusalError as error:
            if error.status != 409 or not _is_there(cluster, namespace, tag.key):
                raise
        return name

    made: str = patiently(create)
    return made


def _is_there(cluster: Cluster, namespace: str, key: str) -> bool:
    found = cluster.items(CONFIG_MAPS, namespace, owned.OWNED_SELECTOR)
    return any(key in owned.faults_on(obj) for obj in found)


@activity
def fault_mark_holds(
    *,
    namespace: str,
    fault: str,
    run: str = BY_HAND,
    until_wall_s: float,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> bool:
    """Wait until ``until_wall_s``, and see that the marker stays: nobody else has undone the fault.

    Fails when the marker is gone, and when the activities took longer than the fault.
    """
    cluster, key = connect(kubeconfig, context), fault_key(run, fault)
    late_s = time.time() - until_wall_s
    if not patiently(lambda: _is_there(cluster, namespace, key)):
        raise FaultError(f"the marker {key} is not there (any more)")
    record("verified", CONFIG_MAPS.subject(owned.object_name(key)), "marker", effects)
    if late_s > LATE_S:
        raise FaultError(f"the activities took {late_s:.1f} s longer than the fault lasts")
    next_look_s = time.time() + LOOK_EVERY_S
    while (left_s := until_wall_s - time.time()) > 0:
        if time.time() >= next_look_s and left_s > STEP_S:
            _look(cluster, namespace, key)
            next_look_s = time.time() + LOOK_EVERY_S
        time.sleep(max(0.0, min(left_s, STEP_S)))
    return True


def _look(cluster: Cluster, namespace: str, key: str) -> None:
    try:
        there = _is_there(cluster, namespace, key)
    except ApiRefusalError as error:
        log.warning("cannot see the marker: %s", error.message)
        return
    if not there:
        raise FaultError(f"somebody took the marker {key} away before the fault's end")


@rollback
def unmark_fault(
    *,
    namespace: str,
    fault: str,
    run: str = BY_HAND,
    after: Sequence[str] = (),
    within_s: float = 30.0,
    kubeconfig: str = "",
    context: str = "",
    effects: str = "",
) -> list[str]:
    """Take the marker away, if all rollbacks named in ``after`` have succeeded.

    Args:
        namespace: Where.
        run: Id of the run.
        fault: Id of the fault in the run.
        after: Names of rollbacks; those in the background are waited for.
        within_s: Bound of that wait.
        kubeconfig: Path of the kubeconfig.
        context: Context in it.
        effects: File for the record of effects.

    Returns:
        The markers that were deleted.
    """
    if failed := watched().outcomes_of(list(after), within_s):
        raise FaultError(f"the marker stays, because not all is undone: {'; '.join(failed)}")
    removed: list[str] = remove_fault(
        namespace=namespace,
        run=run,
        fault=fault,
        kinds=[CONFIG_MAPS.plural],
        kubeconfig=kubeconfig,
        context=context,
        effects=effects,
    )
    return removed


@activity
def steady_state_is_back(
    probes: Sequence[str], after: Sequence[str] = (), within_s: float = 5.0
) -> bool:
    """Whether probes of the experiment's own steady state are within their tolerances again.

    Args:
        probes: Their names. A value that is none (None, NaN) is never within a tolerance.
        after: Names of rollbacks; when one of them failed, nothing is waited for.
        within_s: How long it may take until they are.
    """
    until_s = time.monotonic() + within_s
    now = watched()
    if failed := now.outcomes_of(list(after), within_s):
        raise FaultError(f"not looked at, because not all is undone: {'; '.join(failed)}")
    chosen = [probe for probe in _steady_state(now.experiment) if probe.get("name") in set(probes)]
    missing = set(probes) - {probe["name"] for probe in chosen}
    if missing:
        raise FaultError(f"the steady state has no probe {', '.join(sorted(missing))}")
    while missed := [said for probe in chosen if (said := _missed(probe))]:
        if time.monotonic() >= until_s:
            raise FaultError(f"not steady after the rollbacks: {'; '.join(missed)}")
        time.sleep(STEP_S)
    return True


def _steady_state(experiment: Mapping[str, Any]) -> list[dict[str, Any]]:
    aside = [one for one in experiment.get("extensions") or () if one["name"] == STEADY_STATE]
    places = (experiment.get("steady-state-hypothesis"), *aside)
    return [probe for place in places for probe in (place or {}).get("probes") or ()]


def _missed(probe: dict[str, Any]) -> str:
    """Why a probe is not within its tolerance; empty when it is."""
    now = watched()
    name, configuration, secrets = probe["name"], dict(now.configuration), dict(now.secrets)
    try:
        # Copies: the library writes values into tolerances.
        value = run_activity(copy.deepcopy(probe), configuration, secrets)
        tolerance = copy.deepcopy(probe.get("tolerance"))
        if isinstance(tolerance, str):
            tolerance = substitute(tolerance, configuration, secrets)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return f"{name} has no value"
        met = within_tolerance(tolerance, value, configuration=configuration, secrets=secrets)
    except (ChaosException, *_NO_COMPARISON) as error:
        return f"{name}: {one_line(error)}"
    return "" if met is True else f"{name} is not within its tolerance"
