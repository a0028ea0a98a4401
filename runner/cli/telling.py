"""Who else is told that a run has ended, beside the terminal: GitHub's job, and people.

Nothing here changes how a run ended: what cannot be told is said on standard error.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import click

from runner.cli.github import is_github, job_address, tell_github
from runner.cli.hearing import may_be_unheard
from runner.cli.outcome import RunEnd
from runner.cli.saying import say
from runner.errors import ExitCode, RecordingError
from runner.model.evaluation import Evaluation
from runner.model.faultmark import heal_command
from runner.model.notice import OCCASIONS, Notify, Occasion, is_due
from runner.notify import INSTALL, Letter, deliver, is_installed, parse_addresses
from runner.source import Source
from runner.store import RunDir, write_atomically
from runner.textfile import read_bounded

_log = logging.getLogger(__name__)

MOST_ADDRESS_BYTES = 64 * 1024
_NO_VERDICT = "There is no verdict."

notify_option = click.option(
    "--notify-on",
    type=click.Choice(OCCASIONS),
    help="When people are told of the end of the run; where they are: $SEATRIAL_NOTIFY_URLS, or "
    "'notify' in seatrial.yaml.  [default: not-pass]",
)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is to be told.

    Attributes:
        ci: As ``--ci`` says.
        on: On which occasions people are told.
        addresses: Where; secrets.
        timeout_s: How long that may take.
    """

    ci: str = "none"
    on: Occasion = "never"
    addresses: tuple[str, ...] = ()
    timeout_s: float = 15.0


def audience_of(ci: str, notify_on: Occasion | None, notify: Notify) -> Audience:
    """Who is told by what flags, configuration and environment say.

    The variable with the addresses is taken out of the environment, so that no child of the run
    inherits it: neither the load nor a fault has any use for it, and both write logs.
    """
    on = notify_on or notify.on
    addresses = parse_addresses(os.environ.pop(notify.urls_env, ""))
    if on != "never" and notify.urls_file:
        addresses = tuple(dict.fromkeys((*addresses, *_from_file(Path(notify.urls_file)))))
    if on == "never":
        addresses = ()
    elif not addresses and (notify_on or notify != Notify()):
        _warn(f"nobody will be told of the end: there are no addresses in ${notify.urls_env}")
    elif addresses and not is_installed():
        _warn(f"nobody will be told of the end: Apprise is not installed; to install it: {INSTALL}")
    return Audience(ci=ci, on=on, addresses=addresses, timeout_s=notify.timeout)


def _from_file(path: Path) -> tuple[str, ...]:
    try:
        text = read_bounded(path.expanduser(), MOST_ADDRESS_BYTES).decode("utf-8")
        return parse_addresses(text)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        _warn(f"the addresses in {path} cannot be read: {why}")
        return ()


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run that has ended: its folder, how it ended, of what file, and its judgement, if any."""

    run: RunDir
    code: ExitCode
    end: RunEnd
    source: Source
    evaluation: Evaluation | None

    @property
    def problem(self) -> str:
        """Why it could not go on; empty when it could."""
        return "" if self.end.error is None else self.end.error.message


def tell(audience: Audience, run: RunDir, code: int, end: RunEnd, source: Source) -> None:
    """Tell everybody of a run that has ended with ``code``; never raises."""
    try:
        evaluation = run.read_evaluation() if run.evaluation_path.exists() else None
    except RecordingError:
        evaluation = None
    ended = _Ended(run, ExitCode(code), end, source, evaluation)
    for told in (_tell_files, _tell_github, _tell_people):
        try:
            told(audience, ended)
        except Exception as error:  # noqa: BLE001 - a run does not fail because of its messengers
            _log.debug("not told", exc_info=error)
            _warn(f"not everybody could be told of the end: {type(error).__name__}")


def _tell_files(_: Audience, ended: _Ended) -> None:
    """Leave JUnit of a run that has no report: CI systems take a missing file for no tests."""
    run, path = ended.run, ended.run.report_dir / "junit.xml"
    if ended.evaluation is not None or path.exists():
        return
    from runner.reports.junit import render_unjudged

    manifest = run.read_manifest()
    reason = ended.problem or _NO_VERDICT
    started_iso = manifest.created_at.removesuffix("+00:00")
    text = render_unjudged(ended.source.experiment.name, run.run_id, started_iso, reason)
    write_atomically(path, text)


def _tell_github(audience: Audience, ended: _Ended) -> None:
    if not is_github(audience.ci):
        return
    from runner.reports.github import Remark

    remarks, title = [], f"Run of {ended.source.experiment.name}"
    if ended.end.left:
        said = f"{', '.join(ended.end.left)}; to finish the work: {heal_line(ended.run)}"
        remarks.append(Remark("error", "Something may be left broken", said))
    if ended.end.error is not None:
        remarks.append(Remark("error", title, ended.problem))
    elif ended.evaluation is None:
        remarks.append(Remark("error", title, _NO_VERDICT))
    tell_github(
        audience.ci,
        ended.run,
        ended.source,
        remarks=remarks,
        evaluation=ended.evaluation,
        outputs={"exit-code": str(int(ended.code))},
    )


def _tell_people(audience: Audience, ended: _Ended) -> None:
    if not audience.addresses or not is_due(audience.on, ended.code):
        return
    from runner.reports.notice import Ending, letter_of

    page = ended.run.page_path
    letter = letter_of(
        Ending(
            experiment=ended.source.experiment.name,
            run_id=ended.run.run_id,
            code=ended.code,
            evaluation=ended.evaluation,
            problem=ended.problem,
            left=tuple(ended.end.left),
            heal=heal_line(ended.run),
            report=str(page.resolve()) if page.exists() else "",
            job=job_address(),
        )
    )
    _send(audience, letter)


def _send(audience: Audience, letter: Letter) -> None:
    for delivery in deliver(letter, audience.addresses, audience.timeout_s):
        if delivery.problem:
            _warn(f"{delivery.service} was not told of the end: {delivery.problem}")


def heal_line(run: RunDir) -> str:
    """The command that removes what ``run`` may have left."""
    with contextlib.suppress(RecordingError):
        if (target := run.read_manifest().target) is not None:
            return heal_command(run.run_id, target.kind, target.name, target.flags)
    return f"seatrial heal {run.run_id}"


def _warn(text: str) -> None:
    with may_be_unheard():
        click.secho("warning: ", fg="yellow", nl=False, err=True)
        say(text)
