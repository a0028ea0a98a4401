"""Conditions on request headers, as an experiment file states them. Pure.

Envoy takes expressions of RE2, and the configuration of a whole proxy is refused with one that it
cannot read: then no fault comes, and none goes. So an expression is looked at before. What is known
here is which expressions are none; whether one means what its author meant is not.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from runner.model.shape import Model

MOST_REPEATS: Final = 1000
"""RE2 counts no further: ``a{1001}`` is refused."""

NOT_HEADERS: Final = ("uri", "scheme", "method", "authority")
"""Names that Istio ignores among a match's headers: a fault on them would be for everybody."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_TOKEN: Final = re.compile(
    r"\\Q.*?(?:\\E|$)|\\[pP](?:\{\^?\w+\}|[A-Z])|\\x\{[0-9A-Fa-f]+\}|\\.|\[:\^?[a-z]+:\]"
    r"|\(\?[imsU]*-?[imsU]+\)|\(\?[imsU]*-?[imsU]+:|\(\?<(?=[A-Za-z_])",
    re.DOTALL,
)
_IN_PYTHON: Final = {r"\z": r"\Z", r"\C": ".", "(?<": "(?P<"}
_BACKWARDS: Final = re.compile(r"\\[1-9]")
_NOT_IN_RE2: Final = re.compile(r"\(\?(?:[=!>(#]|<[=!]|P=)|[*+?}]\+")
_REPEATS: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")


def regex_mistake(expression: str) -> str | None:
    """Why RE2 would refuse an expression; None when nothing is known against it.

    Syntax: https://github.com/google/re2/wiki/Syntax. What only RE2 has
    (classes of Unicode, ``[[:alpha:]]``, flags in the middle) is put into words of Python's.
    """
    known = _TOKEN.sub(_known_to_python, expression)
    plain = re.sub(r"\\.", "a", known, flags=re.DOTALL)
    outside = re.sub(r"\[\^?\]?[^\]]*\]", "a", plain)
    if _NOT_IN_RE2.search(outside) or any(
        _BACKWARDS.fullmatch(token) for token in re.findall(r"\\.", known, flags=re.DOTALL)
    ):
        return "RE2 has no look-around, back references, atomic groups or possessive repetition"
    counts = [int(n) for pair in _REPEATS.findall(outside) for n in pair if n]
    if any(count > MOST_REPEATS for count in counts):
        return f"RE2 repeats at most {MOST_REPEATS:,} times"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(known)
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)
    return None


def _known_to_python(token: re.Match[str]) -> str:
    text = token.group()
    if text.startswith(r"\Q"):
        return re.escape(text.removeprefix(r"\Q").removesuffix(r"\E"))
    if re.match(r"\\[pP]|\\x\{|\[:", text):
        return "a"
    if text.startswith("(?") and text.endswith(":"):
        return "(?:"
    if text.startswith("(?") and text.endswith(")"):
        return ""
    return _IN_PYTHON.get(text, text)


def is_header_name(name: str) -> bool:
    """Whether Istio matches a request header of this name."""
    return _NAME.fullmatch(name) is not None and name.lower() not in NOT_HEADERS


class HeaderMatch(Model):
    """A condition on the value of a request header: exactly one of the three."""

    model_config = ConfigDict(title="Header match")

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = Field(default=None, description="RE2; it must match the whole value.")

    @model_validator(mode="after")
    def _one(self) -> HeaderMatch:
        if sum(value is not None for value in (self.exact, self.prefix, self.regex)) != 1:
            raise ValueError("a header's condition is one of exact, prefix or regex")
        if "" in self.condition.values():
            raise ValueError("a header's condition is empty; accepted: a text that is not")
        mistake = None if self.regex is None else regex_mistake(self.regex)
        if mistake:
            raise ValueError(f"{self.regex!r} is no regular expression of RE2: {mistake}")
        return self

    @property
    def condition(self) -> dict[str, str]:
        """Istio's string match: one key of ``exact``, ``prefix``, ``regex``."""
        return {key: value for key, value in self.model_dump().items() if value is not None}


def twice(names: Iterable[str]) -> str | None:
    """The first name that was there before, with other capital letters: it is the same header."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None


def _matched(headers: dict[str, str | HeaderMatch]) -> dict[str, str | HeaderMatch]:
    for name, value in headers.items():
        if not is_header_name(name):
            raise ValueError(
                f"{name!r} is no request header that Istio matches; accepted: a header's name of "
                f"letters, digits, '-', '_' and '.', such as x-user-group, and none of "
                f"{', '.join(NOT_HEADERS)}"
            )
        if value == "":
            raise ValueError(f"the header {name} has an empty value; accepted: a text that is not")
    again = twice(headers)
    if again is not None:
        raise ValueError(f"the header {again} has two conditions; accepted: one for each name")
    return headers


HeaderMatches = Annotated[dict[str, str | HeaderMatch], AfterValidator(_matched)]
"""Header names to conditions, as an experiment file has them."""
