"""What is told of a run that has ended: a letter of a few lines. Pure.

First what must be done by hand, if anything; then the verdict and why; then where to look. Names in
it are flat text that calls nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from runner.errors import ExitCode
from runner.model.evaluation import Evaluation, Verdict
from runner.notify import Letter
from runner.reports.html import MARKS
from runner.reports.rows import WORDS
from runner.reports.text import shown

_WORD_JOINER = "\u2060"
_CALL = re.compile(r"([@<](?=[\w!@#&]))")

_WAYS = {
    ExitCode.ABORTED: "■ Aborted",
    ExitCode.INTERRUPTED: "■ Interrupted",
    ExitCode.TERMINATED: "■ Interrupted",
    ExitCode.BUG: "✗ Broke off by a bug of seatrial",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """A run that has ended.

    Attributes:
        code: Exit code of the run.
        evaluation: Its judgement; None when there was nothing to judge.
        problem: What went wrong, in words.
        left: Faults that may be left.
        heal: The command that removes them.
        report: Where its page is; empty when there is none.
        job: Address of the CI job; empty outside of one.
    """

    experiment: str
    run_id: str
    code: ExitCode
    evaluation: Evaluation | None = None
    problem: str = ""
    left: Sequence[str] = ()
    heal: str = ""
    report: str = ""
    job: str = ""


def letter_of(ending: Ending) -> Letter:
    """The letter about ``ending``."""
    lines = []
    if ending.left:
        lines.append(f"SOMETHING MAY BE LEFT BROKEN: {', '.join(map(_flat, ending.left))}")
        lines.append(f"To finish the work: {ending.heal}")
    if ending.evaluation is not None:
        lines.append(_flat(ending.evaluation.sentence))
    lines += [_flat(ending.problem)] * bool(ending.problem)
    known = {"Run": ending.run_id, "Report": ending.report, "CI job": ending.job}
    lines += [f"{name}: {text}" for name, text in known.items() if text]
    title = f"{_head(ending)}: {_flat(ending.experiment)}"
    return Letter(title=title, text="\n".join(lines), kind=_kind(ending))


def _head(ending: Ending) -> str:
    if ending.code is ExitCode.LEFT_BROKEN:
        return "‼ Something may be left broken"
    if ending.code in _WAYS:
        return _WAYS[ending.code]
    if ending.evaluation is None:
        return "? No verdict"
    return f"{MARKS[ending.evaluation.verdict]} {WORDS[ending.evaluation.verdict]}"


def _kind(ending: Ending) -> Literal["success", "warning", "failure"]:
    if ending.code is ExitCode.PASS:
        warned = ending.evaluation is not None and ending.evaluation.verdict is Verdict.WARN
        return "warning" if warned else "success"
    bad = (ExitCode.FAIL, ExitCode.ABORTED, ExitCode.LEFT_BROKEN, ExitCode.BUG)
    return "failure" if ending.code in bad else "warning"


def _flat(text: str) -> str:
    return _CALL.sub("\\1" + _WORD_JOINER, " ".join(shown(text).split()))
