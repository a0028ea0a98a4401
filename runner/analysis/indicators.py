"""Which function judges which indicator, where it is not the load's or the mesh's usual figure.

``judge`` in ``objectives`` asks here and knows nothing else about these indicators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runner.analysis.evidence import Evidence, Judged, Seen
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

FIGURES: Mapping[SliName, FigureOf] = {}
"""By indicator; judged in each phase and window that the objective names."""

WHOLE: Mapping[SliName, PartsOf] = {}
"""By indicator; judged over the whole run, or fault by fault."""
