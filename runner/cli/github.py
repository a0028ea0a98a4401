"""GitHub Actions as a reader: annotations, the step's summary, its outputs.

What is printed in a job is searched for commands. Texts of services and files must not give any,
so commands are off while seatrial talks, and on again for its own annotations.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.hearing import may_be_unheard
from runner.errors import InvalidFileError, Located, SeatrialError
from runner.model.feasibility import Mistake
from runner.source import Source, find_experiment, load_experiment

if TYPE_CHECKING:  # What most commands do not need, they do not import.
    from runner.model.evaluation import Evaluation
    from runner.model.recording import Manifest
    from runner.reports.github import Remark
    from runner.store import RunDir

ci_option = click.option(
    "--ci",
    type=click.Choice(["auto", "github", "none"]),
    default="auto",
    show_default=True,
    help="Whom to annotate and summarise for; auto: GitHub in its own jobs, else nobody.",
)


def is_github(ci: str) -> bool:
    """Whether GitHub is to be told: asked for, or in a job of GitHub Actions."""
    return ci == "github" or (ci == "auto" and os.environ.get("GITHUB_ACTIONS") == "true")


@contextlib.contextmanager
def commands_off(ci: str) -> Iterator[None]:
    """Within it, nothing that is printed is a command to GitHub."""
    if not is_github(ci):
        yield
        return
    token = secrets.token_hex(16)
    _say(f"::stop-commands::{token}")
    try:
        yield
    finally:
        with may_be_unheard():
            sys.stdout.flush()  # What is still to come there must not be read as a command.
        _say(f"::{token}::")


def annotate(ci: str, remarks: Iterable[Remark]) -> None:
    """Say ``remarks`` on standard error, where GitHub reads commands as well."""
    if not is_github(ci):
        return
    from runner.reports.github import command_lines

    for line in command_lines(remarks):
        _say(line)


def annotate_files(ci: str, found: Iterable[tuple[str, Iterable[Any], Iterable[Any]]]) -> None:
    """Annotate files with their mistakes and with doubts about them.

    Args:
        ci: As ``--ci`` says.
        found: Path, mistakes and doubts of each file; both as records of line, column, message.
    """
    if not is_github(ci):
        return
    from runner.reports.github import remarks_on_file

    remarks: list[Remark] = []
    for name, mistakes, doubts in found:
        path = in_repository(Path(name))
        remarks += remarks_on_file(path, (Located(**one) for one in mistakes), "error")
        remarks += remarks_on_file(path, (Located(**one) for one in doubts), "warning")
    annotate(ci, remarks)


@contextlib.contextmanager
def mistakes_annotated(ci: str, path: Path) -> Iterator[None]:
    """Within it, ``path`` is read; its mistakes are annotated, and go on."""
    try:
        yield
    except InvalidFileError as error:
        located = error.mistakes or (Located(1, 1, error.message),)
        annotate_files(ci, [(str(path), map(asdict, located), ())])
        raise


def tell_github(
    ci: str,
    run: RunDir,
    source: Source | None = None,
    *,
    remarks: Iterable[Remark] = (),
    evaluation: Evaluation | None = None,
    outputs: Mapping[str, str] | None = None,
    with_report: bool = True,
) -> None:
    """Annotate, summarise and set outputs of what is known of a run.

    Args:
        ci: As ``--ci`` says.
        run: The run.
        source: Where the objectives of ``evaluation`` stand.
        remarks: What is to be said first.
        evaluation: The judgement; None when there is none.
        outputs: Beside the ones that follow from the run.
        with_report: Whether the run's report tells of this judgement.
    """
    if not is_github(ci):
        return
    from runner.reports.github import remarks_of, step_outputs

    first = tuple(remarks)
    found = list(first)
    path = "" if source is None else in_repository(source.path)
    if evaluation is not None:
        found += remarks_of(evaluation, path, () if source is None else places_of(source))
    annotate(ci, found)
    written = run.report_dir / "summary.md" if with_report else None
    _append("GITHUB_STEP_SUMMARY", _summary(run, written, first, found, evaluation))
    values = {"run": run.run_id, "folder": str(run.path.resolve()), **(outputs or {})}
    if evaluation is not None:
        values |= {"verdict": evaluation.verdict.value, "valid": str(evaluation.valid).lower()}
    page = run.report_dir / "index.html"
    values |= {"report": str(page.resolve())} if with_report and page.exists() else {}
    _append("GITHUB_OUTPUT", step_outputs(values, f"seatrial-{secrets.token_hex(16)}"))


def _summary(
    run: RunDir,
    written: Path | None,
    first: Iterable[Remark],
    remarks: Iterable[Remark],
    evaluation: Evaluation | None,
) -> str:
    """What is to be said first, then the run's Markdown; where there is none, all remarks."""
    from runner.reports.markdown import md

    if written is not None and written.exists():
        warned = [f"> **{md(remark.title)}**: {md(remark.text)}\n\n" for remark in first]
        text = "".join(warned) + written.read_text(encoding="utf-8")
        return text + (f"\n[Artifacts of this job]({job})\n" if (job := job_address()) else "")
    sentence = "There is no report." if evaluation is None else evaluation.sentence
    said = [f"- {md(remark.title)}: {md(remark.text)}" for remark in remarks]
    return "\n".join([f"## Run {md(run.run_id)}", "", md(sentence), "", *said]) + "\n"


def _append(variable: str, text: str) -> None:
    """Add ``text`` to the file that GitHub names in ``variable``; without one, nobody asked."""
    name = os.environ.get(variable)
    if not name:
        return
    try:
        path = Path(name)
        if variable == "GITHUB_STEP_SUMMARY":
            from runner.reports.github import step_summary

            text = step_summary(text, path.stat().st_size if path.exists() else 0)
        with path.open("a", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:  # The verdict stands without it.
        _say(f"{variable} cannot be written: {error.strerror or error}")


def job_address() -> str:
    """Address of the job of GitHub or GitLab that this is; empty outside of one."""
    server, name, number = (
        os.environ.get(f"GITHUB_{word}", "") for word in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    if server and name and number:
        return f"{server}/{name}/actions/runs/{number}"
    return os.environ.get("CI_JOB_URL", "")


def in_repository(path: Path) -> str:
    """``path`` below the root of the checkout, as annotations want it; empty when it is not."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd()).resolve()
    try:
        return path.resolve().relative_to(root).as_posix()
    except (OSError, ValueError):
        return ""


def places_of(source: Source) -> tuple[Located, ...]:
    """Where each objective of an experiment stands in its file."""
    return tuple(
        source.located([Mistake(("objectives", number), "")])[0]
        for number in range(len(source.experiment.objectives))
    )


def source_of(manifest: Manifest, experiments: Path) -> Source | None:
    """The file that a run was made of, if it is still there, and still the same."""
    with contextlib.suppress(SeatrialError, OSError):
        source = load_experiment(find_experiment(manifest.experiment, experiments))
        return source if source.sha256 == manifest.experiment_sha256 else None
    return None


def _say(line: str) -> None:
    with may_be_unheard():
        click.echo(line, err=True)
