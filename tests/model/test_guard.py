"""Guards as they are written: what they mean, what is refused, and what would be accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runner.errors import InvalidFileError
from runner.model.guard import Guard, Threshold, parse_threshold
from runner.model.promql import compares, counts_failures, unclosed
from runner.source import load_experiment

EXPERIMENT = """\
name: guarded
description: A question.
load: {{locustfile: shop.py, stages: [{{duration: 60s, users: 5}}]}}
objectives: [errors < 1%]
guards:
  - {guard}
"""


def refusal(**keys: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Guard.model_validate(keys)
    (error,) = caught.value.errors()
    return error["msg"].removeprefix("Value error, ")


def test_what_a_guard_does_not_say() -> None:
    guard = Guard.model_validate({"abort_when": "errors > 60%"})
    assert (guard.kind, guard.for_, guard.grace, guard.window) == ("load", 10.0, 10.0, 5.0)
    assert (guard.on_missing, guard.of, guard.promql) == ("abort", None, None)


@pytest.mark.parametrize(
    ("keys", "kind", "title"),
    [
        ({"abort_when": " errors > 60%"}, "load", "errors > 60%"),
        (
            {"abort_when": "latency.p95 > 5s", "of": "GET /x"},
            "load",
            "latency.p95 > 5s of GET /x",
        ),
        ({"abort_when": "silent"}, "silent", "silent"),
        ({"abort_when": "Silent "}, "silent", "Silent"),
        ({"abort_when": "> 5", "promql": "sum(\n  up\n)"}, "promql", "sum( up ) > 5"),
    ],
)
def test_the_kinds_of_guards_and_what_they_are_called(
    keys: dict[str, str], kind: str, title: str
) -> None:
    guard = Guard.model_validate(keys)
    assert (guard.kind, guard.title) == (kind, title)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> 5", (">", 5.0, "")),
        ("<=-2.5e3", ("<=", -2500.0, "")),
        (">= 60%", (">=", 0.6, "ratio")),
        ("> 500ms", (">", 0.5, "s")),
        ("< 1h30m", ("<", 5400.0, "s")),
        ("< 600/min", ("<", 10.0, "per_s")),
    ],
)
def test_a_threshold_has_a_unit_or_none(text: str, expected: tuple[str, float, str]) -> None:
    threshold = parse_threshold(text)
    assert (threshold.operator, threshold.value, threshold.unit) == expected


def test_a_threshold_holds_as_it_says() -> None:
    """Goal: each operator, at the bound and beside it. Method: 4, 5, 6 and NaN against 5."""
    held = {
        text: [Threshold.holds(parse_threshold(f"{text} 5"), value) for value in (4.0, 5.0, 6.0)]
        for text in ("<", "<=", ">", ">=")
    }
    assert held == {
        "<": [True, False, False],
        "<=": [True, True, False],
        ">": [False, False, True],
        ">=": [False, True, True],
    }
    assert not parse_threshold("> 5").holds(float("nan"))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"abort_when": "silnet"}, "did you mean 'silent', and for how long in 'for'?"),
        ({"abort_when": "silent for 10s"}, "did you mean 'silent', and for how long in 'for'?"),
        ({"abort_when": "eror > 5%"}, "did you mean 'errors'?"),
        ({"abort_when": "errors < 5%"}, "did you mean 'errors > 5%'?"),
        ({"abort_when": "> 5"}, "'> 5' has no subject; accepted: a condition on the load such as"),
        ({"abort_when": "nonsense"}, "or 'silent'"),
        (
            {"abort_when": "recovery > 5s"},
            "a guard watches latency, errors or traffic, not recovery",
        ),
        ({"abort_when": "silent", "of": "GET /"}, "'of' does not go with 'silent'"),
        ({"abort_when": "silent", "window": "9s"}, "'window' does not go with 'silent'"),
        ({"abort_when": "errors > 5%", "window": "2500ms"}, "accepted: whole seconds"),
        ({"abort_when": "errors > 5%", "window": "0s"}, "greater than or equal to 1"),
        ({"abort_when": "errors > 5%", "window": "61s"}, "less than or equal to 60"),
        ({"abort_when": "errors > 5%", "for": "0s"}, "greater than 0"),
        ({"abort_when": "errors > 5%", "on_missing": "fail"}, "'abort' or 'ignore'"),
        ({"promql": "up", "abort_when": "errors > 5%"}, "did you mean '> 5%'?"),
        ({"promql": "up", "abort_when": "5"}, "'5' is no comparison; accepted: beside 'promql'"),
        ({"promql": "up", "abort_when": "> 5 apples"}, "'5 apples' is no number; accepted: "),
        ({"promql": "up", "abort_when": "> 500%"}, "is not a percentage from 0 to 100"),
        ({"promql": "up", "abort_when": "silent"}, "drop 'promql'"),
        ({"promql": "up", "abort_when": "> 1", "of": "GET /"}, "'of' is about the load's figures"),
        ({"promql": "up", "abort_when": "> 1", "window": "9s"}, "'window' is about the load's"),
        ({"promql": " ", "abort_when": "> 1"}, "the query is empty"),
        ({"promql": "sum(up", "abort_when": "errors > 1%"}, "the bracket ( is never closed"),
    ],
)
def test_a_guard_that_cannot_be_meant_is_refused(keys: dict[str, str], said: str) -> None:
    """Goal: one mistake, one sentence that helps. Method: one wrong guard each."""
    assert said in refusal(**keys)


@pytest.mark.parametrize(
    ("guard", "place", "said"),
    [
        ("{abort_when: silnet, for: 5s}", "6:18", "guards[0].abort_when: 'silnet' is not"),
        ("{abort_when: silent, on_missing: abrot}", "6:38", "did you mean 'abort'? accepted:"),
        ("{abort_when: silent, on_mising: abort}", "6:26", "did you mean 'on_missing'?"),
        ("{promql: 'sum(up', abort_when: '> 5'}", "6:14", "guards[0].promql: this is not PromQL"),
        ("{promql: up, abort_when: 'errors > 5%'}", "6:30", "did you mean '> 5%'?"),
        ("{promql: up}", "6:5", "guards[0] lacks the key 'abort_when'"),
    ],
)
def test_a_mistake_in_a_guard_has_its_place(
    tmp_path: Path, guard: str, place: str, said: str
) -> None:
    """Goal: file:line:col. Method: a file with one wrong guard on line 6."""
    (tmp_path / "shop.py").touch()
    path = tmp_path / "guarded.yaml"
    path.write_text(EXPERIMENT.format(guard=guard), encoding="utf-8")
    with pytest.raises(InvalidFileError) as caught:
        load_experiment(path)
    (mistake,) = caught.value.mistakes
    assert f"{mistake.line}:{mistake.column}" == place
    assert said in mistake.message


@pytest.mark.parametrize(
    ("promql", "problem"),
    [
        ("sum(rate(x[5m])", "the bracket ( is never closed"),
        ("sum(x))", "the bracket ) closes nothing"),
        ("sum(x]", "the bracket ] closes nothing"),
        ('x{a="b}', 'the quote " is never closed'),
        ("x{a=`b}", "the quote ` is never closed"),
        ('sum(x{a="(", b=\'"\', c=`)`}) # a ( in a comment', ""),
        ('x{a="\\"("}', ""),
    ],
)
def test_a_query_is_whole(promql: str, problem: str) -> None:
    assert unclosed(promql) == problem


@pytest.mark.parametrize(
    ("promql", "comparison"),
    [
        ("sum(x) > 5", ">"),
        ("up == 0", "=="),
        ("sum(x) > bool 5", ""),
        ('sum(x{a!="b",c=~"d>e"}[5m])', ""),
        ("(sum(x) > 5) or vector(0)", ""),
        ('x{a="{"} < 1', "<"),
    ],
)
def test_a_query_that_filters_is_empty_at_times(promql: str, comparison: str) -> None:
    assert compares(promql) == comparison


def test_a_query_of_failures_is_empty_until_there_is_one() -> None:
    failures = 'sum(rate(istio_requests_total{response_flags="UO"}[30s]))'
    assert counts_failures(failures)
    assert not counts_failures(f"{failures} or vector(0)")
    assert not counts_failures('max(container_memory_working_set_bytes{pod=~"order.*"})')
