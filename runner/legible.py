"""Text from outside, made fit for people and files. Escaping for a format is not done here. Pure.

Names, answers and paths may hold what moves a cursor, hides half a line, cannot be written at all,
or begins a line that a CI system takes for a command.
"""

from __future__ import annotations

import re

UNFIT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
"""Characters that are shown nowhere: controls, marks of direction, what is no character."""

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_WORD = 500
"""Characters that are kept of one word; longer ones than paths and URLs tell nobody more."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_LONG_WORD = re.compile(rf"(\S{{{LONGEST_WORD}}})\S+")
_COMMAND = re.compile(r"^(?=\s*(?:::|##\[))", re.MULTILINE)
"""What GitHub's runners take for a command, wherever a program says it."""


def printable(text: str) -> str:
    """``text`` with each character that may not be shown replaced by U+FFFD."""
    return UNFIT.sub(REPLACEMENT, text.replace("\r\n", "\n").replace("\r", "\n"))


def legible(text: str) -> str:
    """``text`` for a terminal or a log: as it is, but for what does harm there.

    Lines and tabs stay, an over-long word ends in an ellipsis.
    """
    return _COMMAND.sub("| ", _LONG_WORD.sub(r"\1…", printable(text)))


def json_legible(text: str) -> str:
    """``text``, which is JSON, with :data:`UNFIT` characters as escapes: the same JSON."""
    return UNFIT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def encodable(text: str) -> str:
    """``text`` without lone surrogates, which no UTF-8 file can hold."""
    return _SURROGATES.sub(REPLACEMENT, text)
