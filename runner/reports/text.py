"""Text from outside, made fit for every form of a report. Escaping for a format is not done here.

Names and messages come from experiment files, locustfiles, clusters and the answers of broken
services. Control characters would break XML and terminals, lone surrogates cannot be written at
all, and marks of direction make a line read as what it is not.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from runner.legible import REPLACEMENT, UNFIT

LONGEST = 600
"""Characters that are kept of one text; a service may answer with a whole page."""


def printable(text: str) -> str:
    """``text`` with each character that may not be shown replaced by U+FFFD."""
    return UNFIT.sub(REPLACEMENT, text.replace("\r\n", "\n").replace("\r", "\n"))


def shown(text: str) -> str:
    """:func:`printable`, and cut to :data:`LONGEST` characters."""
    fit = printable(text[: LONGEST + 1])
    return fit if len(fit) <= LONGEST else fit[: LONGEST - 1] + "…"


Shown = Annotated[str, AfterValidator(shown)]
Printable = Annotated[str, AfterValidator(printable)]
