"""Text from outside, made fit for every form of a report. Escaping for a format is not done here.

Names and messages come from experiment files, locustfiles, clusters and the answers of broken
services. Control characters would break XML and terminals, lone surrogates cannot be written at
all, and marks of direction make a line read as what it is not.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from runner.legible import UNFIT, printable

_BREAK = re.compile(r"[\t\n\r]")

LONGEST = 600
"""Characters that are kept of one text; a service may answer with a whole page."""


def shown(text: str) -> str:
    """:func:`printable`, and cut to :data:`LONGEST` characters."""
    fit = printable(text[: 2 * LONGEST])  # Which may be shorter: a line's end of two becomes one.
    whole = len(fit) <= LONGEST and len(text) <= 2 * LONGEST
    return fit if whole else fit[: LONGEST - 1] + "…"


def command_line(words: Iterable[str]) -> str:
    """``words`` as one line that a shell reads back; bash, where one holds what is not shown."""
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    if not UNFIT.search(word) and not _BREAK.search(word):
        return shlex.quote(word)
    kept = word.replace("\\", "\\\\").replace("'", "\\'")
    for found in (UNFIT, _BREAK):
        kept = found.sub(lambda match: f"\\u{ord(match[0]):04x}", kept)
    return f"$'{kept}'"


Shown = Annotated[str, AfterValidator(shown)]
Printable = Annotated[str, AfterValidator(printable)]
