"""The queries of OpenSLO's metrics: ratios and thresholds over what is judged. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.model.feasibility import Loc, Mistake
from runner.model.ownsignal import RANGE

VERSION = "openslo/v1"
KINDS = ("SLO", "SLI", "DataSource", "Service", "AlertPolicy", "AlertCondition")
PROMETHEUS = ("prometheus", "thanos", "cortex", "mimir", "victoriametrics", "amp", "gmp")
_OPERATORS = {"lte": "<=", "lt": "<", "gte": ">=", "gt": ">"}
_SELECTOR = r"[A-Za-z_:][\w:]*(?:\{[^{}]*\})?"
_SUM = re.compile(rf"\s*sum\s*\(\s*({_SELECTOR})\s*\)\s*")
_BARE = re.compile(rf"\s*({_SELECTOR})\s*")
_WINDOW = re.compile(r"\[[^\[\]]*\]")


class Reading:
    """The objects by kind and name, and what is wrong with them."""

    def __init__(self, documents: Sequence[Any]) -> None:
        self.found: list[Mistake] = []
        self.notes: list[str] = []
        self.documents = documents
        self.named: dict[tuple[str, str], int] = {}
        for at, one in enumerate(documents):
            if one is None:
                continue
            kind = kind_of(one)
            if not isinstance(one, dict) or kind not in KINDS:
                self.refuse((at, "kind"), f"{kind!r} is no kind; accepted: {', '.join(KINDS)}")
            elif one.get("apiVersion") != VERSION:
                said = f"{one.get('apiVersion')!r} is not supported; accepted: {VERSION}"
                self.refuse((at, "apiVersion"), said)
            elif not isinstance(self.at((at,), "metadata", "name"), str):
                self.refuse((at, "metadata"), "metadata lacks a 'name'")
            else:
                self.named[kind, one["metadata"]["name"]] = at
                if kind in ("AlertPolicy", "AlertCondition"):
                    self.note(f"{kind} {one['metadata']['name']!r} is left out: a run has no pager")

    def refuse(self, loc: Loc, message: str) -> None:
        self.found.append(Mistake(loc, message))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def at(self, *path: Any) -> Any:
        """What stands at ``path`` (its first part is one itself); None when nothing does."""
        here: Any = self.documents
        for part in (*path[0], *path[1:]):
            if isinstance(here, dict):
                here = here.get(part)
            elif isinstance(here, list | tuple) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                return None
        return here


def kind_of(one: Any) -> str:
    """What ``one`` says that it is."""
    return str(one.get("kind")) if isinstance(one, dict) else "text"


def _queries(
    reading: Reading, loc: Loc, metric: Mapping[str, Any], *names: str
) -> Iterator[tuple[str, str]]:
    """The queries of those of ``names`` that ``metric`` has."""
    for name in names:
        given = metric.get(name)
        if given is None:
            continue
        source = given.get("metricSource") if isinstance(given, dict) else None
        source = source if isinstance(source, dict) else {}
        kind, reference = source.get("type"), source.get("metricSourceRef")
        if kind is None and ("DataSource", str(reference)) in reading.named:
            at = reading.named["DataSource", str(reference)]
            kind = reading.at((at,), "spec", "type")
        if kind is None:
            reading.note("a metric source without a type is taken for a Prometheus")
        elif str(kind).lower() not in PROMETHEUS:
            reading.refuse(loc, f"a metric of type {kind!r} cannot be asked; accepted: Prometheus")
            continue
        spec = source.get("spec")
        query = spec.get("query") if isinstance(spec, dict) else None
        if not isinstance(query, str) or not query.strip():
            reading.refuse(loc, f"'{name}' has no query; accepted: metricSource.spec.query")
            continue
        yield name, " ".join(query.split())


def _over(query: str, window: str, *, counter: bool) -> str:
    """How much ``query`` grew within ``window``; of a rate, its mean there."""
    if counter:
        plain = _SUM.fullmatch(query) or _BARE.fullmatch(query)
        inner = f"{plain[1]}[{window}]" if plain else f"({query})[{window}:]"
        return f"sum(increase({inner}))"
    if _WINDOW.search(query):  # It has a window of its own: that of what is judged replaces it.
        return f"({_WINDOW.sub(f'[{window}]', query)})"
    return f"avg_over_time(({query})[{window}:])"


def ratio_query(  # noqa: PLR0917 - one objective's parts
    reading: Reading,
    loc: Loc,
    goal: Mapping[str, Any],
    metric: Any,
    method: str,
    slice_s: float | None,
) -> str:
    """The bad share of a ratio metric over what is judged."""
    metric = metric if isinstance(metric, dict) else {}
    found = dict(_queries(reading, loc, metric, "good", "bad", "total", "raw"))
    counter = metric.get("counter") is True
    window = RANGE if slice_s is None else f"{slice_s:g}s"
    if "raw" in found:
        raw = _over(found["raw"], window, counter=False)
        bad = raw if metric.get("rawType") == "failure" else f"1 - {raw}"
    elif "total" in found and len(found) == 2:
        total = _over(found["total"], window, counter=counter)
        one = "bad" if "bad" in found else "good"
        # What never happened has no series: that is 0 of all, not nothing.
        part = f"({_over(found[one], window, counter=counter)} or {total} * 0) / {total}"
        bad = part if one == "bad" else f"1 - {part}"
    else:
        if not reading.found:
            accepted = "'total' with 'good' or 'bad', or 'raw'"
            reading.refuse(loc, f"a ratio of {', '.join(found) or 'nothing'}; accepted: {accepted}")
        return ""
    if slice_s is None:
        return bad
    if method == "RatioTimeslices":
        return f"avg_over_time(({bad})[{RANGE}:{slice_s:g}s])"
    goal_of_slice = goal.get("timeSliceTarget")
    if not isinstance(goal_of_slice, int | float) or not 0 < goal_of_slice <= 1:
        accepted = "a ratio above 0, at most 1"
        reading.refuse(loc, f"'timeSliceTarget' is {goal_of_slice!r}; accepted: {accepted}")
        return ""
    return f"avg_over_time((({bad}) > bool {1 - goal_of_slice:.12g})[{RANGE}:{slice_s:g}s])"


def threshold_query(
    reading: Reading, loc: Loc, goal: Mapping[str, Any], metric: Any, slice_s: float | None
) -> str:
    """The bad share of a threshold metric over what is judged."""
    operator, value = goal.get("op"), goal.get("value")
    if not isinstance(operator, str) or operator not in _OPERATORS:
        accepted = ", ".join(_OPERATORS)
        reading.refuse(loc, f"'op' is {operator!r}; accepted: {accepted}")
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        reading.refuse(loc, f"'value' is {value!r}; accepted: a number")
        return ""
    holder = metric if isinstance(metric, dict) else {}
    query = dict(_queries(reading, loc, {"thresholdMetric": holder}, "thresholdMetric"))
    if not query:
        return ""
    step = "" if slice_s is None else f"{slice_s:g}s"
    good = f"({query['thresholdMetric']}) {_OPERATORS[operator]} bool {value:.12g}"
    return f"1 - avg_over_time(({good})[{RANGE}:{step}])"
