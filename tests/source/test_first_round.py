"""As many mistakes as possible in the first round, each in words that a newcomer understands."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import InvalidFileError, Located
from runner.source import load_config, load_experiment

GOOD = """\
name: good
description: A question.
load:
  locustfile: shop.py
  stages:
    - {duration: 1m, users: 100, spawn_rate: 10}
    - {duration: 1m, users: 50}
warmup: 10s
faults:
  - {kind: http-abort, service: payment-api, at: 30s, duration: 30s, status: 503, percent: 50}
  - {kind: pod-kill, service: order-api, at: 70s}
objectives:
  - latency.p95 < 500ms
  - {objective: errors < 1%, during: [baseline, recovery]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "locustfiles").mkdir()
    (tmp_path / "locustfiles" / "shop.py").touch()
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


def refused(folder: Path, text: str) -> tuple[Located, ...]:
    path = folder / "good.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError) as caught:
        load_experiment(path)
    return caught.value.mistakes


def said(folder: Path, *changes: tuple[str, str]) -> list[str]:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return [f"{one.line}: {one.message}" for one in refused(folder, text)]


SHAPE = ("description: A question.", "descripton: A question.")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("name: good", "name: other"), "1: the name 'other' is not the file's"),
        (("shop.py", "shpo.py"), "4: there is no Locust file 'shpo.py'; did you mean 'shop.py'? a"),
        (
            ("at: 30s", "at: 100s"),
            "10: the fault lasts from 100s to 130s, but the load ends at 120",
        ),
        (("at: 30s", "at: 5s"), "10: the fault starts at 5s, in the warmup"),
        (("warmup: 10s", "warmup: 40s"), "10: the fault starts at 30s, in the warmup"),
        (("spawn_rate: 10", "spawn_rate: 1"), "6: 100 users at 1 per second take 100s"),
        (("duration: 30s", "duration: 39s"), "10: the recovery phase, from 69s to 70s, is too sh"),
        (("recovery]}", "recovery], warn: 2%}"), "14: objectives[1].warn: '2%' is not stricter"),
        (("[baseline, recovery]", "warmup"), ""),
    ],
)
def test_what_is_impossible_is_said_together_with_what_is_misspelt(
    folder: Path, change: tuple[str, str], expected: str
) -> None:
    """Goal: one round. Method: a wrong key at the top of the file, and a second mistake."""
    alone, both = said(folder, SHAPE), said(folder, SHAPE, change)
    assert len(alone) == 2  # the unknown key, and the one that is missing
    added = [line for line in both if line not in alone]
    assert set(alone) <= set(both)
    assert [line[: len(expected)] for line in added] == ([expected] if expected else [])


def test_nothing_is_said_that_rests_on_a_part_that_is_wrong(folder: Path) -> None:
    """Goal: no follow-up mistakes. Method: each part wrong in turn, but otherwise good."""
    for old, new in (
        ("duration: 1m, users: 100", "duration: 1x, users: 100"),
        ("users: 100", "users: many"),
        ("warmup: 10s", "warmup: 3"),
        ("at: 30s", "at: never"),
        ("kind: pod-kill", "kind: pod-kil"),
        ("latency.p95 < 500ms", "latency.p95 < 500"),
    ):
        assert len(said(folder, (old, new))) == 1, new


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            "users: 100, spawn_rate: 10",
            "rate: 50/s",
            ["4: load: stages[0] counts 'users' and stages[1] 'r"],
        ),
        ("rate: 100", "rate: 50/s", ["6: load.stages[0].rate: 100 has no unit; write a rate"]),
        ("rate: 9/s, ramp: 2m", "users: -1", ["6: load.stages[0]: the ramp", "7: load.stages[1]."]),
        ("rate: 1000001/s", "rate: 9/s", ["6: load.stages[0].rate: 1000001/s is too large; acc"]),
    ],
)
def test_stages_of_two_models_are_mistakes_like_others(
    folder: Path, first: str, second: str, expected: list[str]
) -> None:
    """Goal: no bug is said. Method: users beside a rate, also where one of the two is wrong."""
    lines = said(folder, ("users: 100, spawn_rate: 10", first), ("users: 50", second))
    assert len(lines) == len(expected)
    assert all(line.startswith(words) for line, words in zip(lines, expected, strict=True)), lines


def test_a_bound_of_a_rate_has_its_unit(folder: Path) -> None:
    (line,) = said(
        folder, ("users: 100, spawn_rate: 10", "rate: 1000001/s"), ("users: 50", "rate: 9/s")
    )
    assert line.endswith("accepted: at most 1000000/s")


def test_a_fault_that_is_wrong_elsewhere_keeps_its_times(folder: Path) -> None:
    lines = said(folder, ("status: 503", "statsu: 503"), ("at: 30s", "at: 3h"))
    assert [line.split(": ")[1][:30] for line in lines] == [
        "faults[0] lacks the key 'statu",
        "the fault lasts from 10800s to",
        "unknown key 'statsu' in faults",
    ]


def test_places_are_those_of_the_file_where_others_are_left_out(folder: Path) -> None:
    """Goal: the right line. Method: a first fault and objective without sense, then mistakes."""
    lines = said(
        folder,
        ("at: 30s", "at: soon"),
        ("at: 70s", "at: 110s"),
        ("latency.p95 < 500ms", "latency.p95"),
        ("errors < 1%", "errors < 1x"),
    )
    assert [line.split(":")[0] for line in lines] == ["10", "11", "13", "14"]
    assert "lasts from 110s to 140s" in lines[1]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "users: 100",
            "users: -5",
            "6: load.stages[0].users: -5 is too small; accepted: at least 0",
        ),
        ("duration: 1m", "duration: 0s", "duration: 0s is too small; accepted: more than 0s"),
        ("percent: 50", "percent: 0%", "percent: 0% is too small; accepted: at least 0.0001%"),
        ("status: 503", "status: 99", "status: 99 is too small; accepted: at least 200"),
        ("users: 50", "users: 2000000", "2000000 is too large; accepted: at most 1000000"),
        ("A question.", "''", "description is empty; accepted: some text"),
        ("warmup: 10s", "warmup:", "warmup has no value; accepted: a value, or no such key"),
        ("users: 50}", "users: ~}", "users has no value; accepted: a whole number without quotes"),
        ("spawn_rate: 10", "spawn_rate: .inf", "inf is no finite number"),
        (
            "[baseline, recovery]}",
            "fault, warn: 1s}",
            "14: objectives[1].warn: '1s' is not a percentage",
        ),
    ],
)
def test_words_are_plain(folder: Path, old: str, new: str, expected: str) -> None:
    (line,) = said(folder, (old, new))
    assert expected in line
    assert "input should" not in line


def test_an_empty_file_is_called_empty(folder: Path) -> None:
    for text in ("", "\n", "# only a comment\n"):
        (mistake,) = refused(folder, text)
        assert mistake.message == (
            "the file is empty; accepted: at least the keys name, description, load, objectives"
        )


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("name: good\nwarmup: [1s\n", 2, "the bracket [ that is opened here is never closed"),
        ("name: good\nload: {a: 1\n", 2, "the brace { that is opened here is never closed"),
        ('name: "good\nwarmup: 1s\n', 1, "the quote that is opened here is never closed"),
        ("a: [b\nc: d\n", 2, "is the bracket [ of line 1 closed?"),
        ("a:\n  - b\n c: d\n", 3, "this is not YAML"),
        ("a: b\n- c\n", 2, "this is not YAML"),
        ("a: &x\n  *", 2, "this is not YAML"),
    ],
)
def test_what_is_not_closed_is_shown_where_it_is_opened(
    folder: Path, text: str, line: int, expected: str
) -> None:
    (mistake,) = refused(folder, text)
    assert (mistake.line, expected in mistake.message) == (line, True), mistake


def test_an_address_is_no_name(tmp_path: Path) -> None:
    """Goal: a URL is asked for as one. Method: an ingress without a scheme."""
    path = tmp_path / "seatrial.yaml"
    path.write_text(
        "targets: {a: {context: c, namespace: N, ingress: shop.example, prometheus: 'http://p'}}\n"
    )
    with pytest.raises(InvalidFileError) as caught:
        load_config(path)
    name, url = sorted(one.message for one in caught.value.mistakes)[::-1]
    assert "'N' is not a name; accepted: lower-case" in name
    assert "'shop.example' is not a URL; accepted: http://… or https://…" in url
