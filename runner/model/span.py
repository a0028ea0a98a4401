"""Where in a run an objective holds: phases, one fault, a stage of the load, a window. Pure.

As text: a phase's name, ``fault:NAME``, ``stage:N`` (the first is 1) or ``2m..5m`` (offsets from
the start of the load). What it means in a plan is resolved in ``model.plan``.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, WithJsonSchema

from runner.model.units import format_duration, parse_duration

PhaseName = Literal["warmup", "baseline", "fault", "recovery"]
PHASES: tuple[PhaseName, ...] = ("warmup", "baseline", "fault", "recovery")

JUDGED_PHASES: tuple[PhaseName, ...] = ("baseline", "fault", "recovery")
"""Where an objective holds that does not say ``during``: everywhere but in the warmup."""

SPAN_ACCEPTED = (
    "a phase (warmup, baseline, fault, recovery), 'all', 'fault:NAME', 'stage:2' or a window such "
    "as '2m..5m'"
)
FAULT, STAGE = "fault:", "stage:"
_WINDOW = re.compile(r"(.+?)\s*\.\.\s*(.+)")


def window_s(span: str) -> tuple[float, float] | None:
    """Offsets of a window such as ``2m..5m``; None when ``span`` is no window."""
    match = _WINDOW.fullmatch(span)
    return None if match is None else (parse_duration(match[1]), parse_duration(match[2]))


def _span(text: str) -> str:
    """``text`` as it is kept, if it is a span.

    Raises:
        ValueError: Says what would be accepted.
    """
    said = text.strip()
    if said in PHASES:
        return said
    if said.startswith(FAULT) and said != FAULT:
        return FAULT + said.removeprefix(FAULT).strip()
    if re.fullmatch(r"stage:\s*[1-9]\d{0,5}", said):
        return f"{STAGE}{int(said.removeprefix(STAGE))}"
    if ".." in said:
        try:
            window = window_s(said)
        except ValueError as error:
            raise ValueError(f"{text!r} is no window: {error}") from None
        if window is not None and window[0] < window[1]:
            return f"{format_duration(window[0])}..{format_duration(window[1])}"
        raise ValueError(f"{text!r} is no window; accepted: from..to, such as '2m..5m'")
    near = difflib.get_close_matches(said, PHASES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"{text!r} is nowhere in a run; {hint}accepted: {SPAN_ACCEPTED}")


def scaled_span(span: str, factor: float) -> str:
    """``span`` with its offsets multiplied by ``factor``; only a window has any."""
    edges = window_s(span)
    if edges is None:
        return span
    return "..".join(format_duration(round(edge * factor, 6)) for edge in edges)


Span = Annotated[
    str,
    AfterValidator(_span),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(PHASES)},
                {"type": "string", "pattern": r"^(fault:.+|stage:\s*[1-9][0-9]*|.+\.\..+)$"},
            ],
            "description": "A phase, 'fault:NAME', 'stage:2' or a window such as '2m..5m'.",
        }
    ),
]
"""One place in a run, as text."""


def spans(value: Any) -> Any:
    """One or many spans, as the file writes them; ``all`` is every judged phase."""
    if value == "all":
        return JUDGED_PHASES
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value
