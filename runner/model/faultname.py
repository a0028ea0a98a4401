"""Which faults of a plan an objective means by ``fault:NAME``. Pure.

NAME is a fault's id (``01-http-abort``), its ``name``, its kind or its service; the first of these
that fits anything counts, so that a name of the reader's own goes before a kind. One name is to
mean one fault: several are for whoever asks to refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.model.objective import Objective
from runner.model.plan import Plan, PlannedFault
from runner.model.span import FAULT


def faults_called(name: str, faults: Sequence[PlannedFault]) -> tuple[PlannedFault, ...]:
    """The faults that ``name`` can mean: one where all is well, none, or several alike."""
    for known_as in (_by_id, _by_name, _by_kind, _by_service):
        found = tuple(fault for fault in faults if known_as(fault) == name)
        if found:
            return found
    return ()


def names_of(faults: Sequence[PlannedFault]) -> tuple[str, ...]:
    """Every name that means just one of ``faults``, in their order; ids first, each once."""
    ids = [fault.id for fault in faults]
    others = [
        name
        for fault in faults
        for name in (_by_name(fault), _by_kind(fault), _by_service(fault))
        if name and len(faults_called(name, faults)) == 1
    ]
    return tuple(dict.fromkeys([*ids, *others]))


def named_faults(objective: Objective) -> tuple[str, ...]:
    """The names in ``during`` that stand behind ``fault:``."""
    return tuple(span.removeprefix(FAULT) for span in objective.during if span.startswith(FAULT))


def faults_meant(objective: Objective, plan: Plan) -> tuple[PlannedFault, ...]:
    """The faults that ``objective`` is about, in the plan's order: those that it names, else all.

    A name that means no fault, or more than one, means none here; see :func:`unknown_faults`.
    """
    names = named_faults(objective)
    if not names:
        return plan.faults
    found = [faults_called(name, plan.faults) for name in names]
    ids = {one[0].id for one in found if len(one) == 1}
    return tuple(fault for fault in plan.faults if fault.id in ids)


def unknown_faults(objective: Objective, plan: Plan) -> tuple[str, ...]:
    """The names in ``objective`` that do not mean just one fault of ``plan``."""
    return tuple(
        name for name in named_faults(objective) if len(faults_called(name, plan.faults)) != 1
    )


def _by_id(fault: PlannedFault) -> str:
    return fault.id


def _by_name(fault: PlannedFault) -> str:
    return fault.fault.name or ""


def _by_kind(fault: PlannedFault) -> str:
    return fault.fault.kind


def _by_service(fault: PlannedFault) -> str:
    return fault.fault.service
