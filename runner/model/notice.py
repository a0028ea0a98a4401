"""Who is told when a run has ended, as ``seatrial.yaml`` says. Addresses are secrets, not here."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import ConfigDict, Field

from runner.errors import ExitCode
from runner.model.shape import Model
from runner.model.units import Duration

Occasion = Literal["fail", "not-pass", "always", "never"]
OCCASIONS: tuple[Occasion, ...] = get_args(Occasion)

URLS_ENV = "SEATRIAL_NOTIFY_URLS"

_FAILURES = (ExitCode.FAIL, ExitCode.ABORTED, ExitCode.LEFT_BROKEN)


class Notify(Model):
    """Who is told when a run has ended, and when.

    The addresses are Apprise's, such as ``slack://…``, one in each line. They hold tokens, and so
    they stand in the environment or in a file, and in nothing that a run writes.
    """

    model_config = ConfigDict(title="Notify")

    on: Occasion = Field(
        default="not-pass",
        description="When: 'fail' (an objective was missed, a guard ended the run, something may "
        "be left broken), 'not-pass' (that, and inconclusive or interrupted), 'always', 'never'.",
    )
    urls_env: str = Field(
        default=URLS_ENV,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the addresses.",
    )
    urls_file: str = Field(
        default="", description="File with more addresses, one in each line; # begins a comment."
    )
    timeout: Duration = Field(
        default=15.0, gt=0, le=120, description="How long telling everybody may take in all."
    )


def is_due(on: Occasion, code: ExitCode) -> bool:
    """Whether a run that ended with ``code`` is to be told of."""
    match on:
        case "never":
            return False
        case "always":
            return True
        case "not-pass":
            return code is not ExitCode.PASS
        case "fail":
            return code in _FAILURES
