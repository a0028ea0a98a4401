"""Conditions on headers: expressions that a proxy would not read, names that are the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runner.model.fault import HttpAbort
from runner.model.headermatch import regex_mistake


def abort(headers: dict[str, Any]) -> HttpAbort:
    return HttpAbort.model_validate(
        {
            "kind": "http-abort",
            "service": "order-api",
            "at": "10s",
            "duration": "10s",
            "status": 503,
            "headers": headers,
        }
    )


@pytest.mark.parametrize(
    "expression",
    [
        *("(", ")", "a)", "[a", "*", "a**", "a\\", "(?z)", "a{2,1}", "(?P<1>a)"),
        *("a(?=b)", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P<n>a)(?P=n)", "(?>a)", "a++"),
        *("a{1001}", "a{1,100000}", "a{5000,}"),
    ],
)
def test_an_expression_that_re2_refuses_is_a_mistake(expression: str) -> None:
    """Goal: no proxy is left with configuration that it refuses. Method: in the file, and alone."""
    assert regex_mistake(expression)
    with pytest.raises(ValidationError, match="no regular expression of RE2"):
        abort({"x-user": {"regex": expression}})


@pytest.mark.parametrize(
    "expression",
    [
        *(".*", "^beta-[0-9]{1,3}$", "a|b|", "(?:a|b)+?", "(?P<n>a)", "(?<n>a)", "[+*?]+", "[]a]+"),
        *(r"\d+\.\w*", r"\\1", r"a\z", r"\pN\p{Greek}", "[[:alpha:]_]+", "a(?i)b", "(?i-s:a)"),
        *(r"\Q(?=x)\E+", r"\x{10FFFF}", "a{1000}", r"\(\?=", "[(?=]"),
    ],
)
def test_an_expression_of_re2_is_accepted_also_where_python_has_another_word(
    expression: str,
) -> None:
    """Goal: nothing right is refused. Method: what both know, and what only RE2 knows."""
    assert regex_mistake(expression) is None
    assert abort({"x-user": {"regex": expression}}).conditions == {"x-user": {"regex": expression}}


def test_two_spellings_of_one_header_are_a_mistake() -> None:
    """Goal: no condition is dropped without a word. Method: names that differ by case."""
    with pytest.raises(ValidationError, match="the header x-user has two conditions"):
        abort({"X-User": "a", "x-user": "b"})
