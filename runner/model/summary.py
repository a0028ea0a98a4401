"""A run in one line: what a list of runs, a trend and an index need of it. Pure.

It is made of the few small files of a run folder that say what became of it (manifest, plan,
evaluation), never of the record of its load, so that hundreds of runs are listed at once. The files
are read leniently: what another version wrote beside the fields that are needed here is no matter,
and a folder that cannot be read becomes a line that says so.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.model.evaluation import Verdict
from runner.model.shape import Items, Model

ALIVE_S = 120.0
"""A run that is not sealed and wrote nothing for this long is taken for one that was killed."""

Standing = Literal["judged", "unjudged", "under way", "unfinished", "torn"]
"""What there is of a run: an evaluation; a recording alone; one that still grows; the rest of one
whose runner was killed; a folder that is none, or not of this version."""

_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d{6}Z)-")
_LONGEST_WHY = 300


class ObjectiveFigure(Model):
    """What became of one objective; figures in ``unit``."""

    title: str
    where: str = ""
    verdict: Verdict
    operator: str = ""
    observed: float | None = None
    bound: float | None = None
    warn: float | None = None
    unit: str = ""


class RunSummary(Model):
    """A run in one line.

    Attributes:
        run_id: The folder's name.
        folder: The run's folder below the results folder, with forward slashes.
        created_s: Unix time at which it was begun; None when nothing tells.
        state: As the manifest has it; empty without one.
        verdict: None unless it was judged.
        why: The reason of the verdict, or why there is none, in a sentence.
        judged_by: Experiment whose objectives were used, if not the run's own.
        duration_s: Planned length of the load; None when it is not known.
        load: How much load, in a few words.
        target: As ``--target`` calls it.
        faults: Kinds of its faults, in order.
        sha256: Of the experiment's file.
        report: Whether there is a page.
    """

    run_id: str
    experiment: str
    folder: str
    created_s: float | None = None
    standing: Standing
    state: str = ""
    verdict: Verdict | None = None
    valid: bool | None = None
    why: str = ""
    judged_by: str = ""
    duration_s: float | None = None
    load: str = ""
    target: str = ""
    time_scale: float = 1.0
    faults: Items[str] = ()
    sha256: str = ""
    objectives: Items[ObjectiveFigure] = ()
    report: bool = False

    @property
    def rehearsal(self) -> bool:
        return self.time_scale != 1.0


class _Head(BaseModel):
    """Some fields of a file; the others are not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class _Target(_Head):
    kind: str = ""
    name: str = ""

    @property
    def word(self) -> str:
        """What ``--target`` calls it: each run may have a sandbox of its own, with its own name."""
        return "sandbox" if self.kind == "sandbox" else self.name


class _Manifest(_Head):
    experiment: str
    state: str
    reason: str = ""
    created_at: str = ""
    experiment_sha256: str = ""
    target: _Target | None = None


class _Search(_Head):
    start: float
    end: float


class _Load(_Head):
    search: _Search | None = None
    shape: str | None = None


class _Experiment(_Head):
    load: _Load


class _Stage(_Head):
    users_to: int = 0
    rate_to: float = 0.0


class _Kind(_Head):
    kind: str


class _Fault(_Head):
    fault: _Kind


class _Plan(_Head):
    experiment: _Experiment
    duration_s: float
    time_scale: float = 1.0
    stages: Items[_Stage] = ()
    faults: Items[_Fault] = ()


class _Finding(ObjectiveFigure):
    model_config = _Head.model_config

    kind: str


class _Evaluation(_Head):
    verdict: Verdict
    valid: bool
    sentence: str
    judged_by: str = ""
    time_scale: float = 1.0
    findings: Items[_Finding] = ()


H = TypeVar("H", bound=_Head)


class RunFiles(Model):
    """What a run folder holds, as far as a line about it needs it; None where there is no file.

    Attributes:
        touched_s: Unix time at which anything was last written; None when that is not known.
        problem: Why the folder cannot be read; empty when it can.
    """

    folder: str
    manifest: bytes | None = None
    plan: bytes | None = None
    evaluation: bytes | None = None
    report: bool = False
    touched_s: float | None = None
    problem: str = Field(default="")


def summary_of(files: RunFiles, now_s: float) -> RunSummary:
    """The line about the run in ``files``, as of the Unix time ``now_s``; never fails."""
    experiment, _, run_id = files.folder.rpartition("/")
    torn = RunSummary(
        run_id=run_id,
        experiment=experiment,
        folder=files.folder,
        created_s=_stamped_s(run_id),
        standing="torn",
        report=files.report,
    )
    if files.problem:
        return torn.model_copy(update={"why": files.problem})
    try:
        manifest = _read(_Manifest, files.manifest, "manifest.json")
        plan = _read(_Plan, files.plan, "plan.json")
        evaluation = _read(_Evaluation, files.evaluation, "evaluation.json")
    except ValueError as error:
        return torn.model_copy(update={"why": str(error)})
    if manifest is None or plan is None:
        missing = "manifest.json" if manifest is None else "plan.json"
        return torn.model_copy(update={"why": f"not a run folder: it has no {missing}"})
    standing, why = _standing(manifest, evaluation, files.touched_s, now_s)
    return torn.model_copy(
        update={
            "experiment": manifest.experiment,
            "created_s": _iso_s(manifest.created_at) or torn.created_s,
            "standing": standing,
            "state": manifest.state,
            "why": why,
            "duration_s": plan.duration_s,
            "load": _load_words(plan),
            "target": "" if manifest.target is None else manifest.target.word,
            "time_scale": plan.time_scale,
            "faults": tuple(one.fault.kind for one in plan.faults),
            "sha256": manifest.experiment_sha256,
            **({} if evaluation is None else _judged(evaluation)),
        }
    )


def _read(kind: type[H], data: bytes | None, name: str) -> H | None:
    if data is None:
        return None
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(
            f"{name} is torn or of another version: {where + ': ' if where else ''}{first['msg']}"
        ) from None


def _standing(
    manifest: _Manifest, evaluation: _Evaluation | None, touched_s: float | None, now_s: float
) -> tuple[Standing, str]:
    if evaluation is not None:
        by = f" (by the objectives of {evaluation.judged_by})" if evaluation.judged_by else ""
        return "judged", _because(evaluation.sentence) + by
    if manifest.state in ("planned", "running"):
        if touched_s is not None and now_s - touched_s < ALIVE_S:
            return "under way", "it is under way"
        return "unfinished", "its runner was killed before the recording was sealed"
    if manifest.reason:
        return "unjudged", _short(f"{manifest.state}: {manifest.reason}")
    return "unjudged", "it was never evaluated"


def _judged(evaluation: _Evaluation) -> dict[str, object]:
    return {
        "verdict": evaluation.verdict,
        "valid": evaluation.valid,
        "judged_by": evaluation.judged_by,
        "objectives": tuple(
            ObjectiveFigure.model_construct(**one.model_dump(exclude={"kind"}))
            for one in evaluation.findings
            if one.kind == "objective"
        ),
    }


def _because(sentence: str) -> str:
    """The part of a verdict's sentence that says why, cut to a length that a table bears."""
    _, colon, because = sentence.partition(": ")
    return _short(because if colon else sentence)


def _short(sentence: str) -> str:
    """``sentence`` in one line that says where it was cut."""
    text = " ".join(sentence.split())
    return text if len(text) <= _LONGEST_WHY else text[: _LONGEST_WHY - 1] + "…"


def _load_words(plan: _Plan) -> str:
    load = plan.experiment.load
    if load.search is not None:
        return f"search {load.search.start:g}–{load.search.end:g}/s"
    if load.shape is not None:
        return "own shape"
    rate = max((stage.rate_to for stage in plan.stages), default=0.0)
    if rate > 0:
        return f"{rate:g}/s"
    users = max((stage.users_to for stage in plan.stages), default=0)
    return f"{users:,} user{'' if users == 1 else 's'}"


def _iso_s(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _stamped_s(run_id: str) -> float | None:
    """When a run was begun, out of its folder's name."""
    match = _STAMP.match(run_id)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def newest_first(summaries: list[RunSummary]) -> list[RunSummary]:
    """``summaries`` by time; those that have none come last."""
    return sorted(
        summaries,
        key=lambda one: (-math.inf if one.created_s is None else one.created_s, one.run_id),
        reverse=True,
    )
