"""Text from outside, made fit for every form of a report. Escaping for a format is not done here.

Names and messages come from experiment files, locustfiles, clusters and the answers of broken
services. Control characters would break XML and terminals, lone surrogates cannot be written at
all, and marks of direction make a line read as what it is not.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

LONGEST = 600
"""Characters that are kept of one text; a service may answer with a whole page."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNFIT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)


def printable(text: str) -> str:
    """``text`` with each character that may not be shown replaced by U+FFFD."""
    return _UNFIT.sub(_REPLACEMENT, text.replace("\r\n", "\n").replace("\r", "\n"))


def shown(text: str) -> str:
    """:func:`printable`, and cut to :data:`LONGEST` characters."""
    fit = printable(text[: LONGEST + 1])
    return fit if len(fit) <= LONGEST else fit[: LONGEST - 1] + "…"


Shown = Annotated[str, AfterValidator(shown)]
Printable = Annotated[str, AfterValidator(printable)]
