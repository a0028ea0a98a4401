"""What GitHub Actions shows of a run: annotations, a step's summary and outputs. Pure text.

The decisive is an error, everything else that is not well a warning: of a valid run that failed,
the missed objectives; of an inconclusive one, what could not be judged; of one that is not valid,
only why it proves nothing, because there no objective was decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from runner.errors import Located
from runner.model.evaluation import Evaluation, Finding, Verdict
from runner.reports.text import shown

MOST_PER_LEVEL = 10
"""Annotations of one level that GitHub keeps of a step."""

MOST_SUMMARY_BYTES = 1024 * 1024
"""GitHub drops a whole summary that is larger."""

_CUT = "\n\n*The summary was cut here; the report has all of it.*\n"

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Remark:
    """An annotation.

    Attributes:
        path: File below the root of the repository; empty for none.
        line, column: Place in it, counted from 1; 0 for none.
    """

    level: Level
    title: str
    text: str
    path: str = ""
    line: int = 0
    column: int = 0


# -- remarks ---------------------------------------------------------------------------------------


def remarks_of(
    evaluation: Evaluation, path: str = "", places: Sequence[Located] = ()
) -> tuple[Remark, ...]:
    """Remarks on everything in ``evaluation`` that is not well, errors first.

    Args:
        evaluation: The judgement.
        path: The experiment's file; empty when nobody knows where it is.
        places: Of each objective, in their order; none when they are not known.
    """
    objectives = [finding for finding in evaluation.findings if finding.kind == "objective"]
    known = list(places) if len(places) == len(objectives) else []
    remarks = []
    for finding in evaluation.findings:
        if finding.kind == "answer" or finding.verdict is Verdict.PASS:
            continue
        place = None
        if finding.kind == "objective" and known:
            place = known[next(n for n, one in enumerate(objectives) if one is finding)]
        remarks.append(_remark(finding, evaluation, path, place))
    if not any(r.level == "error" for r in remarks) and evaluation.verdict in _UNWELL:
        remarks.append(Remark("error", evaluation.experiment, evaluation.sentence, path))
    return tuple(sorted(remarks, key=lambda remark: remark.level != "error"))


_UNWELL = (Verdict.FAIL, Verdict.INCONCLUSIVE)
_TITLES = {
    ("objective", Verdict.FAIL): "Missed",
    ("objective", Verdict.INCONCLUSIVE): "Not judged",
    ("validity", Verdict.INCONCLUSIVE): "Not valid",
    ("validity", Verdict.FAIL): "Not valid",
}


def _remark(finding: Finding, evaluation: Evaluation, path: str, place: Located | None) -> Remark:
    if evaluation.valid:
        decisive = finding.kind == "objective" and finding.verdict is evaluation.verdict
    else:
        decisive = finding.kind == "validity"
    return Remark(
        level="error" if decisive and finding.verdict in _UNWELL else "warning",
        title=f"{_TITLES.get((finding.kind, finding.verdict), 'Warning')}: {finding.title}",
        text=finding.reason,
        path=path,
        line=place.line if place else 0,
        column=place.column if place else 0,
    )


def remarks_on_file(path: str, located: Iterable[Located], level: Level) -> tuple[Remark, ...]:
    """Remarks on mistakes in an experiment's file, or on doubts about it."""
    title = "Invalid experiment" if level == "error" else "Experiment"
    return tuple(Remark(level, title, one.message, path, one.line, one.column) for one in located)


# -- commands --------------------------------------------------------------------------------------


def command_lines(remarks: Iterable[Remark]) -> Iterator[str]:
    """Each remark as a workflow command; what GitHub would drop is counted in the last one."""
    known = tuple(remarks)
    counts = Counter(remark.level for remark in known)
    said: Counter[str] = Counter()
    for remark in known:
        said[remark.level] += 1
        rest = counts[remark.level] - MOST_PER_LEVEL + 1
        if counts[remark.level] > MOST_PER_LEVEL and said[remark.level] >= MOST_PER_LEVEL:
            if said[remark.level] == MOST_PER_LEVEL:
                more = f"{rest} more are in the report, and in the summary of this job"
                yield _command(Remark(remark.level, "seatrial", more))
            continue
        yield _command(remark)


def _command(remark: Remark) -> str:
    known = {
        "file": remark.path,
        "line": str(remark.line or ""),
        "col": str(remark.column or ""),
        "title": _line(remark.title),
    }
    properties = ",".join(f"{name}={_property(text)}" for name, text in known.items() if text)
    return f"::{remark.level} {properties}::{_data(shown(remark.text))}"


def _line(text: str) -> str:
    return " ".join(shown(text).split())


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# -- files -----------------------------------------------------------------------------------------


def step_summary(text: str, taken: int = 0) -> str:
    """``text`` as far as GitHub takes it: what is folded away goes first, then the end.

    Args:
        text: Markdown.
        taken: Bytes that stand in the step's summary already.
    """
    room = MOST_SUMMARY_BYTES - taken
    if len(text.encode()) <= room:
        return text
    text = text.partition("\n<details>\n")[0]
    room -= len(_CUT.encode())
    if room < 0:
        return ""
    kept = text.encode()[:room]
    if len(kept) < len(text.encode()):
        kept = kept[: kept.rfind(b"\n") + 1]  # No half a row, and no half a character.
    return kept.decode().rstrip("\n") + _CUT


def step_outputs(values: Mapping[str, str], delimiter: str) -> str:
    """``values`` as ``$GITHUB_OUTPUT`` takes them, whatever they hold.

    Args:
        values: Name to value.
        delimiter: A word that stands in no value, such as a random one.
    """
    return "".join(f"{name}<<{delimiter}\n{text}\n{delimiter}\n" for name, text in values.items())
