"""What a plan cannot tell of an alert, said before a run. Pure; nothing is refused here."""

from __future__ import annotations

from collections.abc import Iterator

from runner.model.faultname import faults_meant
from runner.model.feasibility import Mistake
from runner.model.plan import Plan
from runner.model.units import format_duration


def alert_doubts(plan: Plan) -> Iterator[Mistake]:
    """Alerts whose silence nobody watches for long enough to call it one."""
    for index, objective in enumerate(plan.experiment.objectives):
        if objective.bound.sli != "alert":
            continue
        short = [
            fault
            for fault in faults_meant(objective, plan)
            if plan.duration_s - fault.start_s < objective.bound.value
        ]
        if short:
            left_s = min(plan.duration_s - fault.start_s for fault in short)
            yield Mistake(
                ("objectives", index),
                f"{objective.bound.statistic} may take "
                f"{format_duration(objective.bound.value)} to fire, but the load ends "
                f"{format_duration(left_s)} after the start of {short[-1].id}: if it does not "
                "fire, that proves nothing",
            )
