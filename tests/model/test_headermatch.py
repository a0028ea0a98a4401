"""Conditions on headers: expressions that a proxy would not read, names that are the same."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from runner.model.fault import Drain, HttpAbort, PodKill
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


@pytest.mark.parametrize(
    "name", ["", "uri", "URI", "method", ":path", "a\nb", "a b", "x-user\n", "ü"]
)
def test_a_name_that_is_no_headers_is_a_mistake(name: str) -> None:
    """Goal: no fault for everybody. Method: names that Istio ignores or refuses."""
    with pytest.raises(ValidationError, match="is no request header that Istio matches; accepted"):
        abort({name: "x"})


@pytest.mark.parametrize("value", ["", {"exact": ""}, {"prefix": ""}, {"regex": ""}])
def test_an_empty_condition_is_a_mistake(value: str | dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="empty"):
        abort({"x-user": value})


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"bad key!": "x"}, "'bad key!' is no key of a label"),
        ({"": "x"}, "'' is no key of a label"),
        ({"a" * 64: "x"}, "is no key of a label"),
        ({"Upper.io/app": "x"}, "is no key of a label"),
        ({"/app": "x"}, "is no key of a label"),
        ({"app": "a b"}, "'a b' is no value of the label app"),
        ({"app": "x\n"}, "is no value of the label app"),
        ({"app": "-x"}, "'-x' is no value of the label app"),
    ],
)
def test_callers_are_named_by_labels_that_there_can_be(labels: dict[str, str], said: str) -> None:
    """Goal: what the API server would refuse is told before. Method: the edges of its grammar."""
    fault = abort({}).model_dump(exclude_defaults=True) | {"source": labels}
    with pytest.raises(ValidationError, match=said):
        HttpAbort.model_validate(fault)


def test_labels_of_kubernetes_are_accepted() -> None:
    labels = {"app.kubernetes.io/name": "order-api", "a" * 63: "", "A_b.c-9": "x" * 63}
    fault = abort({}).model_dump(exclude_defaults=True) | {"source": labels}
    assert HttpAbort.model_validate(fault).source == labels


@pytest.mark.parametrize("kind", ["pod-kill", "drain"])
def test_a_grace_is_whole_seconds(kind: str) -> None:
    """Goal: nothing is rounded in silence. Method: a fraction is refused, with what is near it."""
    fault = {"kind": kind, "service": "order-api", "at": "10s", "duration": "10s"}
    model = PodKill if kind == "pod-kill" else Drain
    assert model.model_validate(fault | {"grace_period": "1m"}).grace_period == 60.0
    with pytest.raises(ValidationError, match=r"not 1\.5s; accepted: such as 1s or 2s"):
        model.model_validate(fault | {"grace_period": "1.5s"})
