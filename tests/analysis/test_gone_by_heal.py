"""A child that did not live to look: what a heal saw in its place, and what that does not say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from builders import (
    ABORT,
    SERVICE,
    WALL_S,
    events_of,
    fault_records,
    plan_of,
    reasons,
    recording_of,
    signals_of,
)

from runner.analysis.evaluate import evaluate
from runner.model.plan import Plan
from runner.model.recording import Event, Recording

HEALED = (
    "01-http-abort was gone when its heal looked at the API server "
    "(its own child ended before it could)"
)


def killed(
    plan: Plan,
    events: Iterable[Event] | None = None,
    *,
    status: str = "",
    late: float | None = 0.0,
    injected_at_s: float = 20.0,
) -> Recording:
    """A run whose child was killed: what it would have done at the end is not on record."""
    (record,) = fault_records(plan)
    effects = tuple(
        one.model_copy(update={"wall_s": WALL_S + injected_at_s}) if one.what == "injected" else one
        for one in record.effects
        if one.what not in {"removed", "gone"}
    )
    changed = record.model_copy(update={"effects": effects, "journal_status": status})
    signals = signals_of(plan).model_copy(update={"late_flags": {record.id: late}})
    journal = events_of(plan) if events is None else tuple(events)
    return recording_of(plan, faults=(changed,), events=journal, signals=signals)


def gone(recording: Recording) -> tuple[str, str]:
    found = reasons(evaluate(recording).findings, "fault-gone")
    return found["verdict"], found["reason"]


@pytest.mark.parametrize("status", ["", "interrupted"])
@pytest.mark.parametrize(
    ("late", "verdict", "reason"),
    [
        (0.0, "pass", f"{HEALED} and hit no request after its end."),
        (None, "warn", f"{HEALED}; that it hit no request after its end is not on record."),
        (3.0, "inconclusive", "3 requests were still hit after the end of 01-http-abort."),
        (float("nan"), "inconclusive", "Nobody can tell whether 01-http-abort still hit requests."),
    ],
)
def test_a_heal_looks_in_place_of_a_child_that_was_killed(
    status: str, late: float | None, verdict: str, reason: str
) -> None:
    """Goal: the heal's look counts, and is named; the mesh decides. Method: late flags."""
    recording = killed(plan_of(faults=[ABORT]), status=status, late=late)
    assert gone(recording) == (verdict, reason)
    assert evaluate(recording).verdict == "inconclusive"  # The child proves nothing.


def test_what_a_child_did_not_see_at_its_end_stays_unseen() -> None:
    """Goal: no heal covers up a look that failed. Method: a child that came to its end."""
    recording = killed(plan_of(faults=[ABORT]), status="completed")
    assert gone(recording) == ("inconclusive", "Nobody saw that 01-http-abort was gone.")


def test_a_heal_from_before_the_last_change_has_seen_nothing() -> None:
    """Goal: only a look after the fault counts. Method: injected once more, after the heal."""
    recording = killed(plan_of(faults=[ABORT]), injected_at_s=31.0)
    assert gone(recording) == ("inconclusive", "Nobody saw that 01-http-abort was gone.")


@pytest.mark.parametrize("kind", ["failed", "unknown", "note", "begin"])
def test_a_heal_that_is_not_on_record_as_ok_has_seen_nothing(kind: Any) -> None:
    plan = plan_of(faults=[ABORT])
    events = [
        one.model_copy(update={"kind": kind}) if (one.action, one.kind) == ("heal", "ok") else one
        for one in events_of(plan)
    ]
    verdict, reason = gone(killed(plan, events))
    assert (verdict, "has no record of having been undone" in reason) == ("inconclusive", True)


def test_a_journal_that_lacks_the_fault_says_nothing_about_it() -> None:
    """Goal: no record is never a pass. Method: effects, and an empty journal."""
    recording = killed(plan_of(faults=[ABORT]), [])
    assert gone(recording) == ("inconclusive", "Nobody saw that 01-http-abort was gone.")


def test_another_faults_heal_is_no_look_at_this_one() -> None:
    plan = plan_of(faults=[ABORT])
    begin, *_ = events_of(plan)
    healed = begin.model_copy(
        update={"source": "02-other", "action": "heal", "kind": "ok", "wall_s": WALL_S + 40.0}
    )
    assert gone(killed(plan, [healed]))[0] == "inconclusive"


def test_a_marker_says_nothing_about_somebody_elses_activities() -> None:
    """Goal: the API server shows only the marker of such a fault. Method: a healed journal."""
    provider = {"type": "process", "path": "true"}
    undo = {"type": "action", "name": "undo", "provider": provider}
    fault = {
        "kind": "chaostoolkit",
        "service": SERVICE,
        "at": "20s",
        "duration": "10s",
        "method": [undo | {"name": "do"}],
        "rollbacks": [undo],
    }
    recording = killed(plan_of(faults=[fault]))
    assert gone(recording) == ("inconclusive", "Nobody saw that 01-chaostoolkit was gone.")
