"""How a pod's misbehaviour is read from annotations and from JSON."""

from __future__ import annotations

import pytest

from runner.targets.sandbox.shop.behaviour import (
    FAIL,
    LEAK,
    SLOW,
    Behaviour,
    from_json,
    in_words,
    parse_behaviour,
    unknown_wishes,
)


def test_no_annotation_is_no_misbehaviour() -> None:
    """Foreign annotations do not make a pod misbehave."""
    assert parse_behaviour({"team": "shop"}) == Behaviour(0.0, 0.0, 503, 0.0)


def test_all_three_annotations() -> None:
    """Each annotation sets its own numbers, in base units."""
    wish = parse_behaviour({SLOW: "200ms", FAIL: "30% 500", LEAK: "1MiB/s"})
    assert wish == Behaviour(slow_s=0.2, fail_ratio=0.3, fail_status=500, leak_bytes_per_s=2**20)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1.5s", 1.5), ("250us", 0.00025), ("2m", 120.0), ("0ms", 0.0)]
)
def test_durations(text: str, seconds: float) -> None:
    """Durations have a unit; ``m`` is minutes and ``ms`` is not."""
    assert parse_behaviour({SLOW: text}).slow_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "rate"), [("500KiB/s", 512_000.0), ("2MB/s", 2e6), ("10B/s", 10.0)]
)
def test_rates(text: str, rate: float) -> None:
    """Rates have a unit per second, binary or decimal."""
    assert parse_behaviour({LEAK: text}).leak_bytes_per_s == rate


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        *((SLOW, text) for text in ("200", "-1s", "1.2.3s", "2h", "ms", "nans", "61m", "１s")),
        *((FAIL, text) for text in ("0.3", "101%", "%", "30% 404", "30% 5xx", "-1%")),
        *((LEAK, text) for text in ("1MiB", "1/s", "x/s", "2GiB/s", "-1B/s")),
    ],
)
def test_unreadable_annotations_are_named(annotation: str, text: str) -> None:
    """A value that cannot be meant is refused, with the annotation and the value in the message."""
    with pytest.raises(ValueError, match="is not a") as caught:
        parse_behaviour({annotation: text})
    assert str(caught.value).startswith(f"{annotation}: {text!r}")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (Behaviour(), "as it should be"),
        (Behaviour(fail_ratio=0.07), "refuses 7 % of the requests with 503"),
        (
            Behaviour(0.8, 0.3, 500, 1.5 * 2**20),
            "slower by 0.8 s, refuses 30 % of the requests with 500, leaks 1.5 MiB/s",
        ),
    ],
)
def test_behaviour_in_words(behaviour: Behaviour, words: str) -> None:
    assert in_words(behaviour) == words


def test_annotations_that_nobody_knows_are_found() -> None:
    known = dict.fromkeys((SLOW, FAIL, LEAK, "sandbox.seatrial.dev/outbound"), "")
    assert unknown_wishes(known | {"team": "shop"}) == []
    assert unknown_wishes(known | {f"{SLOW}er": "1s"}) == [f"{SLOW}er"]


def test_json_is_what_the_annotations_become() -> None:
    """The kubelet's JSON is read back to the same behaviour."""
    wish = Behaviour(0.1, 0.5, 502, 1000.0)
    assert from_json(wish._asdict()) == wish


@pytest.mark.parametrize(
    "data",
    [
        {"slow_s": float("nan")},
        {"slow_s": -1},
        {"fail_ratio": 1.1},
        {"fail_status": 404},
        {"leak_bytes_per_s": 2.0**31},
        {"slow": 1},
        {"slow_s": None},
        {"slow_s": "x"},
    ],
)
def test_json_out_of_range_is_refused(data: dict[str, object]) -> None:
    """Numbers outside of their range, NaN, other types and unknown keys are refused."""
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own message
        from_json(data)
