"""Objectives that are right, and will hardly be proven where they are to hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from runner.analysis.places import WINDOW, places_of
from runner.model.feasibility import Mistake
from runner.model.objective import Objective
from runner.model.plan import Plan


def place_doubts(plan: Plan, shortest_mesh_s: float) -> Iterator[Mistake]:
    """What in ``plan`` is too short for an objective, or says less than it seems to.

    Args:
        plan: The plan.
        shortest_mesh_s: What the mesh's figures need, in seconds.
    """
    for index, objective in enumerate(plan.experiment.objectives):
        for key, text in _about(objective, plan, shortest_mesh_s):
            yield Mistake(("objectives", index, key) if key else ("objectives", index), text)


def _about(objective: Objective, plan: Plan, shortest_mesh_s: float) -> Iterator[tuple[str, str]]:
    mesh = objective.effective_source == "mesh"
    for place in places_of(objective, plan):
        lasts_s = place.phase.duration_s
        if objective.sustained is not None and lasts_s < objective.sustained:
            yield (
                "for",
                f"{place.label} lasts {lasts_s:g}s, shorter than 'for' ({objective.sustained:g}s): "
                "inconclusive there",
            )
        if mesh and place.name == WINDOW and lasts_s < shortest_mesh_s:
            yield (
                "during",
                f"{place.label} lasts {lasts_s:g}s, but the mesh's figures need "
                f"{shortest_mesh_s:g}s or more (four scrapes); likely to be inconclusive",
            )
    bound, reference = objective.bound, objective.bound.reference
    if bound.sli == "errors" and bound.upper and reference and reference.slack <= 0:
        yield (
            "",
            f"{objective.objective!r} allows no error where there was none before, as a share of "
            "nothing is nothing; points say how many more are well: 'baseline + 0.5pp'",
        )
    if plan.experiment.score is None and (objective.key or objective.weight != 1.0):
        yield (
            "key" if objective.key else "weight",
            "without 'score', each objective must be met, and 'weight' and 'key' mean nothing",
        )
