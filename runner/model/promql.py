"""What can be told of a PromQL query by looking at its text. Pure; no parser of the language.

Prometheus alone knows whether a query is right. What is found here is found before a run: a quote
or a bracket that is never closed, and queries whose answer is empty when all is well.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(r"""(?P<comment>\#[^\n]*)|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`""")
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_SELECTORS = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")
_FILTER = re.compile(r"(==|!=|<=|>=|<|>)(?!\s*bool\b)")
_OF_FAILURES = re.compile(r"\b(response_flags|response_code|code|status|status_code)\s*=")
_NEVER_EMPTY = re.compile(r"\bor\b|\babsent(_over_time)?\s*\(|\bvector\s*\(")


def _bare(promql: str) -> str:
    """``promql`` with every quoted text as ``""``, and without comments."""
    return _QUOTED.sub(lambda found: "" if found["comment"] else '""', promql)


def unclosed(promql: str) -> str:
    """What is opened in ``promql`` and never closed, or closed and never opened; empty if nothing.

    Such as ``the bracket ( is never closed``.
    """
    bare = _bare(promql)
    for quote in "\"'`":
        if bare.replace('""', "").count(quote):
            return f"the quote {quote} is never closed"
    opened: list[str] = []
    for char in bare:
        if char in _PAIRS:
            opened.append(char)
        elif char in _PAIRS.values() and (not opened or _PAIRS[opened.pop()] != char):
            return f"the bracket {char} closes nothing"
    return f"the bracket {opened[-1]} is never closed" if opened else ""


def compares(promql: str) -> str:
    """The comparison that filters the answer of ``promql``, such as ``>``; empty when none does.

    What a filter lets nothing through of is an empty answer, not a 0.
    """
    bare = _bare(promql)
    while (shorter := _SELECTORS.sub("", bare)) != bare:
        bare = shorter
    found = _FILTER.search(bare)
    return found[1] if found and not _NEVER_EMPTY.search(bare) else ""


def counts_failures(promql: str) -> bool:
    """Whether ``promql`` selects by how requests ended, and is empty as long as none ended so."""
    return bool(_OF_FAILURES.search(promql)) and not _NEVER_EMPTY.search(_bare(promql))
