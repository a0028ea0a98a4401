"""Figures in the sentences of findings: "34 %", "120 ms", "98.7/s". Not for tables or charts.

A sentence compares two figures, so rounding must never make them look equal when they are not:
:func:`compared` adds digits until they differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from runner.model.plan import GeneratorPlan, Phase, Plan
from runner.model.units import format_duration

_DIGITS = 3
_MAX_DIGITS = 12


def figure(value: float, unit: str, digits: int = _DIGITS) -> str:
    """``value`` with its unit, with ``digits`` significant digits and no exponent.

    Args:
        value: Seconds, a ratio, events per second or a count, after ``unit``.
        unit: ``s``, ``ratio``, ``per_s``, ``count`` or empty.
        digits: Significant digits; whole digits are never dropped.
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    match unit:
        case "s" if abs(value) < 1e-3 and value != 0:
            return f"{_plain(value * 1e6, digits)} µs"
        case "s" if abs(value) < 1 and value != 0:
            return f"{_plain(value * 1000, digits)} ms"
        case "s":
            return f"{_plain(value, digits)} s"
        case "ratio":
            return f"{_plain(value * 100, digits)} %"
        case "per_s":
            return f"{_plain(value, digits)}/s"
        case _:
            return _plain(value, digits)


def compared(observed: float, bound: float, unit: str) -> tuple[str, str]:
    """Both figures, with as many digits as it takes to tell them apart."""
    for digits in range(_DIGITS, _MAX_DIGITS):
        texts = figure(observed, unit, digits), figure(bound, unit, digits)
        if texts[0] != texts[1] or observed == bound:
            return texts
    return texts


def count(number: float, noun: str) -> str:
    """``1 request``, ``3,200 requests``; a mesh's count may be a fraction and is rounded."""
    whole = round(number)
    return f"{whole:,} {noun}" if whole == 1 else f"{whole:,} {noun}s"


def load_size(plan: Plan) -> str:
    """How much load a plan brings, at most."""
    load = plan.experiment.load
    if load.search is not None:
        return f"from {figure(load.search.start, 'per_s')} to {figure(load.search.end, 'per_s')}"
    if load.model == "own":
        return "as the locustfile's own shape has it"
    if load.model == "rate":
        return f"up to {figure(max(stage.rate_to for stage in plan.stages), 'per_s')}"
    return f"up to {max(stage.users_to for stage in plan.stages):,} users"


def crew_size(generator: GeneratorPlan) -> str:
    """Which worker processes make the load; empty where one process does it all."""
    parts = []
    if generator.workers:
        parts.append(f"{count(generator.workers, 'worker')} on this machine")
    if generator.remote_workers:
        where = f"{generator.bind_host}:{generator.bind_port}"
        parts.append(f"{count(generator.remote_workers, 'worker')} awaited on {where}")
    return " and ".join(parts)


def moment(offset_s: float) -> str:
    """An offset or a length of time in whole seconds: ``10m 40s``."""
    hours, rest = divmod(round(offset_s), 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [
        f"{hours}h" * bool(hours),
        f"{minutes}m" * bool(minutes),
        f"{seconds}s" * bool(seconds),
    ]
    return " ".join(filter(None, parts)) or "0s"


def listed(items: Iterable[str], limit: int = 3) -> str:
    """``a, b, c and 2 more``."""
    known = list(items)
    if len(known) <= limit:
        return ", ".join(known)
    return f"{', '.join(known[:limit])} and {len(known) - limit} more"


def capitalised(text: str) -> str:
    """``text`` with its first letter in upper case, and the others as they are."""
    return text[:1].upper() + text[1:]


def _plain(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    if math.isinf(value):  # Nobody measured that, but a damaged record may add up to it.
        return "∞" if value > 0 else "-∞"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def phase_label(plan: Plan, phase: Phase) -> str:
    """What a reader calls ``phase``: its name, its faults, and a number where names repeat."""
    if phase.name == "window":
        return f"{format_duration(phase.start_s)}..{format_duration(phase.end_s)}"
    if phase.faults:
        return f"{phase.name} {' + '.join(phase.faults)}"
    alike = [other.index for other in plan.phases_named(phase.name) if not other.faults]
    return phase.name if len(alike) == 1 else f"{phase.name} {alike.index(phase.index) + 1}"
