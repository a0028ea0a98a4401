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
from runner.chaos.activities.holding import hold
from runner.chaos.activities.owning import place, tag_of
from runner.chaos.activities.shared import BY_HAND, connect, make_tag, remove_fault
from runner.chaos.annotation import Tag, fault_key
from runner.chaos.client import Cluster, one_line, patiently
from runner.chaos.effects import log, record
from runner.chaos.foreign import STEADY_STATE
from runner.chaos.objects import CONFIG_MAPS, Object
from runner.chaos.witness import watched
from runner.errors import FaultError, SeatrialError

EXIT_WITHOUT_ROLLBACKS = 30
"""The exit code that the library itself uses to end an experiment without its rollbacks."""

LATE_S = 1.0
"""Activities that take longer than their fault by more than this have spoilt the next phase."""

_NO_COMPARISON = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What the library raises when a value cannot be held against its tolerance."""

STEP_S = 0.2


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
        body = _marker(namespace, tag, activities, rollbacks)
        subject = place(connect(kubeconfig, context), CONFIG_MAPS, body)
    except SeatrialError as error:
        _end(f"the fault cannot be marked: {one_line(error)}")
        raise SystemExit(EXIT_WITHOUT_ROLLBACKS) from error
    record("injected", subject, "marker", effects)
    return [subject]


def _end(reason: str) -> None:
    log.error("%s", reason)
    with contextlib.suppress(FaultError):  # It may be the witness that is missing.
        watched().ended = reason


def _marker(
    namespace: str, tag: Tag, activities: Sequence[str], rollbacks: Sequence[str]
) -> Object:
    data = {
        "about": "A fault made of Chaos Toolkit activities is on. Its rollbacks stand in the run's "
        "folder; deleting this object undoes nothing.",
        "undo": f"seatrial heal {tag.run}  (on the machine that has the run's folder)",
        "activities": "\n".join(activities),
        "rollbacks": "\n".join(rollbacks),
    }
    return owned.make(CONFIG_MAPS, namespace, tag, {"data": data})


def _tag_there(cluster: Cluster, namespace: str, key: str) -> Tag | None:
    """The tag on the marker, as it is now.

    Raises:
        FaultError: When there is no marker (any more).
    """
    found = patiently(lambda: cluster.items(CONFIG_MAPS, namespace, owned.OWNED_SELECTOR))
    for obj in found:
        if key in owned.faults_on(obj):
            return tag_of(obj, key)
    raise FaultError(f"the marker {key} is not there (any more)")


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

    Fails when the marker is gone, or expires before that, and when the activities took longer than
    the fault.
    """
    cluster, key = connect(kubeconfig, context), fault_key(run, fault)
    late_s = time.time() - until_wall_s
    verified: list[str] = []

    def look() -> list[Tag | None]:
        tag = _tag_there(cluster, namespace, key)
        if not verified:
            verified.append(CONFIG_MAPS.subject(owned.object_name(key)))
            record("verified", verified[0], "marker", effects)
        return [tag]

    hold(until_wall_s, look)
    if not verified:
        look()
    if late_s > LATE_S:
        raise FaultError(f"the activities took {late_s:.1f} s longer than the fault lasts")
    return True


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
