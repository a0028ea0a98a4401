"""What workers say of each second, over Locust's own connection."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.load.outcomes import classify
from runner.load.recorder import Batch, Recorder, Tally
from runner.load.reporting import Report, from_message, to_message

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.dictionaries(st.integers(-512, 5000), st.integers(1, 2**40), min_size=1, max_size=4)
rows = st.dictionaries(st.tuples(st.integers(0, 10**6), names, names), counts, max_size=4)
numbers = st.integers(0, 2**40)
tallies = st.builds(Tally, numbers, numbers, numbers, numbers, numbers, counts)
batches = st.builds(
    Batch,
    rows=rows,
    failures=st.dictionaries(st.tuples(names, names, names), numbers, max_size=3),
    dropped=numbers,
    service=rows,
    arrivals=st.dictionaries(st.integers(0, 10**6), tallies, max_size=3),
    overflowed=numbers,
)
reports = st.builds(
    Report,
    upto_second=numbers,
    users=numbers,
    batch=batches,
    busy=numbers,
    cpu_ratio=st.none() | st.floats(0, 8),
    lag_s=st.floats(0, 100),
    rss_bytes=numbers,
    notes=st.lists(names, max_size=3).map(tuple),
    wanted=st.none() | numbers,
)


def through_the_wire(message: dict[str, Any]) -> Any:
    """As Locust's own messages go."""
    return msgpack.loads(msgpack.dumps(message), raw=False, strict_map_key=False)


@given(reports)
def test_a_report_arrives_as_it_was_sent(report: Report) -> None:
    assert from_message(through_the_wire(to_message(report))) == report


def test_half_a_character_in_a_name_or_a_text_does_not_keep_a_report_from_being_sent() -> None:
    """Goal: one odd name costs no record. Method: a lone surrogate, which no message can carry."""
    recorder = Recorder()
    outcome, text = classify(ValueError("bad \ud800 name"))
    recorder.record(0, "GET", "/a\udfff", 100, outcome=outcome, text=text)
    recorder.record(0, "GET", "/a\udffe", 100, outcome=outcome, text=text)
    batch = recorder.drain()
    assert batch.rows == {(0, "GET /a?", "error"): {100: 2}}
    assert batch.failures == {("GET /a?", "error", "ValueError: bad ? name"): 2}
    assert from_message(through_the_wire(to_message(Report(1, 1, batch)))).batch == batch


@pytest.mark.parametrize("lacks", ["upto_second", "rows", "arrivals", "notes"])
def test_what_is_no_report_is_refused(lacks: str) -> None:
    message = to_message(Report(1, 1))
    del message[lacks]
    with pytest.raises(KeyError, match=lacks):
        from_message(message)
