"""Which function judges which indicator, where it is not the load's or the mesh's usual figure.

``judge`` in ``objectives`` asks here and knows nothing else about these indicators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runner.analysis.alerts import alert_parts, alerts_parts
from runner.analysis.budget import budget_parts, burn_rate_in
from runner.analysis.evidence import Evidence, Judged, Seen
from runner.analysis.recoveries import recovery_parts
from runner.model.bound import SliName
from runner.model.evaluation import Finding
from runner.model.objective import Objective
from runner.model.plan import Phase

FigureOf = Callable[[Objective, Phase, Evidence], Seen]
"""The figure of one phase or window: all else (bounds relative or not, places, sentences) is done
by ``judge``."""

PartsOf = Callable[[Objective, Evidence], list[Judged] | Finding]
"""All parts of a finding, or the finding itself; of no parts, ``judge`` says that there was nothing
to judge."""

FIGURES: Mapping[SliName, FigureOf] = {
    "burn-rate": burn_rate_in,
}
"""By indicator; judged in each phase and window that the objective names."""

WHOLE: Mapping[SliName, PartsOf] = {
    "budget": budget_parts,
    "recovery": recovery_parts,
    "alert": alert_parts,
    "alerts": alerts_parts,
}
"""By indicator; judged over the whole run, or fault by fault."""
