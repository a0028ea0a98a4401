"""A search for the breaking point under way: step after step, each decided from the record.

It asks for a step, waits until the generator has carried it out and written it down, reads the
record back from disk, and lets the analysis say what is next. So what is decided here is what the
same record leads to later on. It is driven by the conductor's loop and never waits by itself.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal

from runner.analysis.searched import DoneStep, Searched, search_again, settings_of, step_quantile_s
from runner.analysis.steps import SearchSettings, Step
from runner.analysis.words import count, figure
from runner.errors import LoadError
from runner.model.experiment import SEARCH_PAUSE_S
from runner.model.recording import SearchStep
from runner.ports import LoadJob, LoadProgress
from runner.progress import Conduct

log = logging.getLogger(__name__)

BEGIN_BOUND_S = 10.0
"""A step that was asked for begins at the next whole second, or a little later."""

END_BOUND_S = 10.0
"""How much longer a step may take than its length and the grace for what is under way."""

WRITE_BOUND_S = 5.0
"""How long the record of a step that is over is waited for; what is missing then, is missing."""

DRAIN_BOUND_S = 30.0
"""How long it is waited for the target to finish what it was asked in a step, after its end."""


@dataclass(slots=True)
class SearchUnderWay:
    """One search of a run.

    Attributes:
        over: Whether the generator was told that no more steps follow.
    """

    run: Conduct
    job: LoadJob
    settings: SearchSettings
    over: bool = False
    _state: Literal["idle", "asked", "begun", "ended"] = "idle"
    _since_s: float = 0.0
    _carried: SearchStep | None = None
    _written_s: float = 0.0
    _under_way: int = 0

    @classmethod
    def of(cls, run: Conduct, job: LoadJob) -> SearchUnderWay | None:
        """The search that the plan of ``run`` asks for; None when it asks for none."""
        wanted = run.plan.experiment.load.search
        return None if wanted is None else cls(run, job, settings_of(wanted))

    def drive(self, progress: LoadProgress, offset_s: float) -> None:
        """Take the search one step further, if it is time.

        Raises:
            LoadError: When the generator does not do what it was asked for, within a bound.
        """
        for second, _ in progress.users:
            self._written_s = max(self._written_s, second + 1.0)
        for _, one in progress.arrivals:
            self._under_way += one.offered - one.dropped - one.completed
        for carried in progress.steps:
            if not carried.ended:
                self._under_way = 0  # What was lost, as with a worker, is not waited for twice.
            self._carried = carried
            self._enter("ended" if carried.ended else "begun", offset_s)
        if self.over:
            return
        waited_s = offset_s - self._since_s
        match self._state:
            case "idle":
                self._ask(offset_s)
            case "asked" if waited_s > BEGIN_BOUND_S:
                raise self._late(f"did not begin within {BEGIN_BOUND_S:g} s")
            case "begun" if waited_s > self._longest_s():
                raise self._late(f"did not end within {self._longest_s():g} s")
            case "ended" if self._is_quiet(waited_s):
                self._ask(offset_s)
            case _:
                pass

    def _enter(self, state: Literal["asked", "begun", "ended"], offset_s: float) -> None:
        self._state, self._since_s = state, offset_s

    def _is_quiet(self, waited_s: float) -> bool:
        """Whether all of the step is on record and the target has nothing more to do."""
        carried = self._carried
        # The second after it is on record, and so all of the step.
        written = carried is not None and self._written_s > carried.start_s + carried.duration_s
        if not written:
            return waited_s > WRITE_BOUND_S
        return self._under_way <= 0 or waited_s > DRAIN_BOUND_S

    def _longest_s(self) -> float:
        grace_s = self.run.plan.experiment.load.stop_timeout
        return self.settings.step_s + grace_s + END_BOUND_S

    def _too_late(self, offset_s: float) -> bool:
        """Whether another step would not come to its end within the plan."""
        load = self.run.plan.experiment.load
        needed_s = self.settings.step_s + SEARCH_PAUSE_S
        return offset_s + needed_s + load.stop_timeout > self.run.plan.duration_s

    def _late(self, what: str) -> LoadError:
        step = self.run.step
        number = 0 if step is None else step.number
        return LoadError(f"step {number} of the search {what}:\n{self.job.tail(12)}")

    def _ask(self, offset_s: float) -> None:
        """Look at the record, and ask for the next step or tell that there is none."""
        known = search_again(self.run.folder.read_load(), self.settings)
        if known.steps:
            self._note(known.steps[-1], known)
        step = None if known.torn or self._too_late(offset_s) else known.due
        self.run.step = step
        if step is None:
            said = known.torn or known.answer.sentence
            if known.due is not None:
                said = f"the time is over before the search is. {said}"
            self.run.journal.write("search", "answer", "note", said)
            self.job.finish()
            self.over = True
            return
        self.run.journal.write("search", f"step {step.number}", "note", _asked(step))
        self.job.offer(step.rate_per_s, step.duration_s)
        self._enter("asked", offset_s)

    def _note(self, done: DoneStep, known: Searched) -> None:
        said = seen_in(done, known)
        log.info("step %d: %s", done.step.number, said)
        self.run.journal.write("search", f"step {done.step.number}", "note", said)


def _asked(step: Step) -> str:
    rate = figure(step.rate_per_s, "per_s", 4)
    again = f", time {step.repeat}" if step.repeat > 1 else ""
    return f"{rate} for {step.duration_s:g} s{again}: {step.why}"


def seen_in(done: DoneStep, known: Searched) -> str:
    """A step and what is thought of its rate so far, in a line."""
    rate = done.step.rate_per_s
    text = f"{figure(rate, 'per_s', 4)} was offered"
    if done.result.generator_problem:
        return f"{text}, and the generator was the limit: {done.result.generator_problem}"
    latency_s = step_quantile_s(done, known.settings)
    if latency_s is not None and math.isfinite(latency_s):
        text += f", p{known.settings.criteria.quantile * 100:g} {figure(latency_s, 's')}"
    failed = sum(second.failed for second in done.result.seconds)
    if failed:
        text += f", {count(failed, 'request')} failed"
    if done.result.dropped:
        text += f", {done.result.dropped} dropped"
    verdict = next((one.verdict for one in known.answer.rates if one.rate_per_s == rate), "unclear")
    return f"{text}: {verdict}"
