"""OpenSLO v1 (SLO, SLI and DataSource objects) as an objective set. Pure.

An SLO is judged over each phase of a run in place of its time window: its indicator becomes an own
signal, its target the bound. What a run cannot answer (composite SLOs, alert policies, calendars,
sources that are no Prometheus) is refused or told, never dropped in silence.

Grammar: https://github.com/OpenSLO/OpenSLO (v1). How each budgeting method is asked:

* *Occurrences*, ratio: bad events over all events of the phase;
* *Occurrences*, threshold: share of the scrapes at which the value was bad;
* *Timeslices*: share of the slices that were bad, a slice being good when its own ratio reaches
  ``timeSliceTarget`` (ratio), or when the value is within the threshold (threshold);
* *RatioTimeslices*: mean of the slices' ratios.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.model.feasibility import Loc, Mistake
from runner.model.units import parse_duration
from runner.openslometrics import Reading, kind_of, ratio_query, threshold_query

API = "openslo/"


class NotImportableError(Exception):
    """What cannot be carried over, each with its place."""

    def __init__(self, found: Sequence[Mistake]) -> None:
        super().__init__("; ".join(mistake.message for mistake in found))
        self.found = tuple(found)


@dataclass(frozen=True, slots=True)
class Imported:
    """What the objects came to.

    Attributes:
        data: An objective set, as plain data.
        notes: What was assumed or left out, for the reader.
    """

    data: dict[str, Any]
    notes: tuple[str, ...]


def is_openslo(text: str) -> bool:
    """Whether ``text`` looks like a file of OpenSLO objects."""
    return (
        re.search(rf"^[\s{{\"']*apiVersion[\"']?\s*:\s*[\"']?{API}", text, re.MULTILINE) is not None
    )


def written(made: Imported, origin: str) -> str:
    """``made`` as the text of an objective set.

    Args:
        made: The set.
        origin: Name of the file that it came from.
    """
    data = made.data
    lines = [
        "# yaml-language-server: $schema=../../docs/objectives.schema.json",
        f"# Made from {_one_line(origin)}.",
        *(f"# {_one_line(note[:1].upper() + note[1:])}." for note in made.notes),
        f"name: {data['name']}",
        f"description: {_quoted(data['description'])}",
        "objectives:",
        *(f"  - {objective}" for objective in data["objectives"]),
        "signals:",
    ]
    for name, signal in data["signals"].items():
        lines.append(f"  {name}:")
        lines += [f"    {key}: {_quoted(value)}" for key, value in signal.items()]
    if budget := data.get("budget"):
        lines.append(f"budget: {{slo: {budget['slo']}, period: {budget['period']}}}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)  # JSON's strings are YAML's, too.


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def imported(documents: Sequence[Any], name: str = "") -> Imported:
    """The objective set that ``documents`` describe.

    Args:
        documents: Plain data of a file's documents.
        name: Of the set; empty for that of the first SLO.

    Raises:
        NotImportableError: Lists everything that cannot be carried over.
    """
    reading = Reading(documents)
    slos = [at for at, one in enumerate(documents) if kind_of(one) == "SLO"]
    if not slos and not reading.found:
        reading.refuse((), "there is no SLO in it; accepted: an object of kind SLO")
    signals: dict[str, Any] = {}
    objectives: list[Any] = []
    budgets: list[dict[str, Any]] = []
    for at in slos:
        _slo(reading, at, signals, objectives, budgets)
    if reading.found:
        raise NotImportableError(reading.found)
    first = documents[slos[0]]["metadata"]
    names = [documents[at]["metadata"]["name"] for at in slos]
    data: dict[str, Any] = {
        "name": _plain(name or str(first["name"])),
        "description": f"Imported from OpenSLO: {', '.join(map(str, names))}.",
        "objectives": objectives,
        "signals": signals,
    }
    if len(budgets) == 1:
        data["budget"] = budgets[0]
        reading.note(
            "'budget' is counted from the requests of the load: add 'budget < 5%' to judge it"
        )
    return Imported(data, tuple(dict.fromkeys(reading.notes)))


def _plain(name: str) -> str:
    """``name`` as names are here: small letters, digits and dashes."""
    return re.sub(r"-+", "-", re.sub(r"[^a-z0-9-]", "-", name.lower())).strip("-")[:50] or "slo"


def _slo(
    reading: Reading,
    at: int,
    signals: dict[str, Any],
    objectives: list[Any],
    budgets: list[dict[str, Any]],
) -> None:
    """Add one SLO: a signal and an objective for each of its objectives."""
    spec = reading.at((at,), "spec")
    if not isinstance(spec, dict):
        reading.refuse((at, "spec"), "an SLO has a 'spec'")
        return
    goals = spec.get("objectives")
    if not isinstance(goals, list) or not goals:
        reading.refuse((at, "spec"), "an SLO has 'objectives', at least one")
        return
    method = spec.get("budgetingMethod", "Occurrences")
    if method not in ("Occurrences", "Timeslices", "RatioTimeslices"):
        accepted = "Occurrences, Timeslices or RatioTimeslices"
        reading.refuse((at, "spec", "budgetingMethod"), f"{method!r} is none; accepted: {accepted}")
        return
    name = _plain(str(reading.at((at,), "metadata", "name")))
    for index, goal in enumerate(goals):
        loc: Loc = (at, "spec", "objectives", index)
        made = _goal(reading, at, loc, goal, str(method))
        if made is None:
            continue
        query, target = made
        own = name if len(goals) == 1 else f"{name}-{index + 1}"
        while own in signals:
            own += "-2"
        said = goal.get("displayName") or spec.get("description") or name
        signals[own] = {
            "promql": query,
            "unit": "ratio",
            "description": f"bad share: {' '.join(str(said).split())}"[:200],
        }
        objectives.append(f"signal.{own} <= {_percent(1 - target)}")
        if (period := _period(reading, at)) is not None and "ratioMetric" in _indicator_spec(
            reading, at, loc, goal
        ):
            budgets.append({"slo": _percent(target), "period": period})
    reading.note("each SLO is judged over the phases of a run, in place of its time window")


def _goal(reading: Reading, at: int, loc: Loc, goal: Any, method: str) -> tuple[str, float] | None:
    """The query for the bad share of one objective, and its target as a ratio."""
    before = len(reading.found)
    if not isinstance(goal, dict):
        reading.refuse(loc, "an objective is keys and values")
        return None
    target = _target(reading, loc, goal)
    metric = _indicator_spec(reading, at, loc, goal)
    slice_s = _slice(reading, loc, goal, method)
    query = ""
    if "ratioMetric" in metric:
        query = ratio_query(reading, loc, goal, metric["ratioMetric"], method, slice_s)
    elif "thresholdMetric" in metric:
        query = threshold_query(reading, loc, goal, metric["thresholdMetric"], slice_s)
    elif len(reading.found) == before:
        accepted = "ratioMetric or thresholdMetric"
        reading.refuse(loc, f"its indicator has no metric; accepted: {accepted}")
    return None if len(reading.found) > before or target is None else (query, target)


def _target(reading: Reading, loc: Loc, goal: Mapping[str, Any]) -> float | None:
    given = goal.get("target"), goal.get("targetPercent")
    match given:
        case (int() | float() as ratio, None) if 0 < ratio < 1:
            return float(ratio)
        case (None, int() | float() as percent) if 0 < percent < 100:
            return float(percent) / 100
    accepted = "'target' above 0 and below 1, or 'targetPercent' above 0 and below 100"
    reading.refuse(loc, f"its target is {given[0] or given[1]!r}; accepted: {accepted}")
    return None


def _indicator_spec(
    reading: Reading, at: int, loc: Loc, goal: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The ``spec`` of the indicator: inline or by name, of the objective or of its SLO."""
    for holder, where in ((goal, loc), (reading.at((at,), "spec"), (at, "spec"))):
        inline, name = holder.get("indicator"), holder.get("indicatorRef")
        if isinstance(inline, dict) and isinstance(inline.get("spec"), dict):
            found: Mapping[str, Any] = inline["spec"]
            return found
        if isinstance(name, str):
            if ("SLI", name) in reading.named:
                spec = reading.at((reading.named["SLI", name],), "spec")
                return spec if isinstance(spec, dict) else {}
            known = [sli for kind, sli in reading.named if kind == "SLI"]
            accepted = ", ".join(known) or "an SLI in the same file"
            said = f"there is no SLI {name!r} here; accepted: {accepted}"
            if Mistake((*where, "indicatorRef"), said) not in reading.found:
                reading.refuse((*where, "indicatorRef"), said)
            return {}
    reading.refuse(loc, "it has no indicator; accepted: 'indicator' or 'indicatorRef'")
    return {}


def _slice(reading: Reading, loc: Loc, goal: Mapping[str, Any], method: str) -> float | None:
    """Seconds of one slice; None where the method has none."""
    if method == "Occurrences":
        return None
    window = goal.get("timeSliceWindow")
    try:
        return 60.0 if window is None else parse_duration(str(window))
    except ValueError as error:
        reading.refuse((*loc, "timeSliceWindow"), str(error))
        return 60.0


def _period(reading: Reading, at: int) -> str | None:
    """The length of the rolling window of an SLO; None when it has none of fixed length."""
    windows = reading.at((at,), "spec", "timeWindow")
    one = windows[0] if isinstance(windows, list) and windows else None
    if not isinstance(one, dict) or "calendar" in one:
        reading.note("a calendar's time window has no fixed length: no error budget was made")
        return None
    text = re.sub(r"(\d+)w", lambda match: f"{int(match[1]) * 7}d", str(one.get("duration")))
    try:
        parse_duration(text)
    except ValueError:
        reading.note(f"the time window {text!r} has no fixed length: no error budget was made")
        return None
    return text


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.10f}".rstrip("0").rstrip(".") + "%"
