"""Every kind of line of the record: written, read at the end, read while it grows, and torn."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import LoadError, RecordingError
from runner.load.recorder import Batch, Recorder, Tally
from runner.load.seconds import SECONDS_FILE, SecondsReader, SecondsWriter
from runner.model.histogram import bucket_of
from runner.model.recording import ArrivalSecond, LoadRow, SearchStep, WorkerEvent
from runner.ports import LoadProgress
from runner.readback import read_load_record

FIRST = {(3, "GET /a", "success"): {500: 2, 300: 1}, (3, "GET /b", "timeout"): {900: 1}}
SERVICE = {(3, "GET /a", "success"): {100: 3}}
TALLY = Tally(offered=9, started=8, waited=2, dropped=1, completed=7, late_us={10: 5, 64: 1})
LATER = Tally(completed=1, late_us={64: 1})
STEP = SearchStep(number=1, rate_per_s=12.5, start_s=4.0, duration_s=20.0)
ENDED = SearchStep(1, 12.5, 4.0, 20.0, ended=True, in_flight=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / SECONDS_FILE


@pytest.fixture
def writer(path: Path) -> SecondsWriter:
    return SecondsWriter(path, lambda: 99.0)


def write_all(writer: SecondsWriter) -> None:
    writer.start(10.0)
    writer.worker(0, "1", "joined")
    writer.worker(0, "2", "joined")
    writer.rows(Batch(FIRST, service=SERVICE, arrivals={3: TALLY}), upto_second=4, users=6)
    writer.step(1, 12.5, 4.0, 20.0)
    writer.wanted(3, 17)
    writer.rows(Batch(arrivals={3: LATER}), upto_second=5, users=6)
    writer.worker(7, "2", "lost")
    writer.worker(9, "2", "back")
    writer.worker(9, "3", "late")
    writer.step_end(1, 3)
    writer.note("odd")
    writer.generator(4, 0.5, 0.001, 7)
    writer.end(complete=True, interrupted=2)


def test_rows_are_late_once_their_step_was_decided_upon(writer: SecondsWriter, path: Path) -> None:
    """Goal: a search can be done again. Method: rows of old seconds after the next step's line, and
    after the last one.
    """

    def ended(second: int) -> Batch:
        return Batch({(second, "GET /a", "timeout"): {900: 1}})

    writer.start(10.0)
    writer.step(1, 12.5, 4.0, 20.0)
    writer.rows(ended(5), upto_second=6, users=1)
    writer.step_end(1, 3)
    writer.rows(ended(6), upto_second=26, users=1)
    writer.step(2, 25.0, 27.0, 20.0)
    writer.rows(ended(7), upto_second=28, users=1)
    writer.rows(ended(27), upto_second=29, users=1)
    writer.step_end(2, 3)
    writer.steps_over()
    writer.rows(ended(28), upto_second=50, users=1)
    writer.end(complete=True, interrupted=0)
    rows = read_load_record(path.parent).rows
    late = {5: False, 6: False, 7: True, 27: False, 28: True}
    assert {row.second: row.late for row in rows} == late
    assert SecondsReader(path).progress().started_wall_s is not None


ROWS = (
    LoadRow(3, "GET /a", "success", {300: 1, 500: 2}, {100: 3}),
    LoadRow(3, "GET /b", "timeout", {900: 1}),
)
ARRIVALS = ArrivalSecond(9, 8, 2, 1, 8, {10: 5, 64: 2})
EVENTS = (
    WorkerEvent(0, "1", "joined"),
    WorkerEvent(0, "2", "joined"),
    WorkerEvent(7, "2", "lost"),
    WorkerEvent(9, "2", "back"),
    WorkerEvent(9, "3", "late"),
)


def test_the_record_is_what_was_written(writer: SecondsWriter, path: Path) -> None:
    write_all(writer)
    record = read_load_record(path.parent)
    assert record.rows == ROWS
    assert record.rows[1].service_us is None
    assert record.arrivals == {3: ARRIVALS}
    assert record.workers == EVENTS
    assert record.steps == (ENDED,)
    assert record.wanted == {3: 17}


def test_who_reads_while_it_grows_reads_the_same(writer: SecondsWriter, path: Path) -> None:
    write_all(writer)
    progress = SecondsReader(path).progress()
    assert progress == LoadProgress(
        started_wall_s=10.0,
        rows=ROWS,
        users=((0, 6), (1, 6), (2, 6), (3, 6), (4, 6)),
        steps=(STEP, ENDED),
        arrivals=(
            (3, ArrivalSecond(9, 8, 2, 1, 7, {10: 5, 64: 1})),
            (3, ArrivalSecond(completed=1, late_us={64: 1})),
        ),
        remarks=(
            "Worker 2 was lost at 7 s; the others took its share",
            "Worker 2 spoke again at 9 s and was sent away",
            "Worker 3 came at 9 s, too late, and was sent away",
        ),
    )


def test_a_tear_anywhere_costs_the_line_that_it_is_in_and_no_other(
    writer: SecondsWriter, path: Path, tmp_path: Path
) -> None:
    """Goal: a killed generator keeps its seconds. Method: the file cut off at every byte."""
    write_all(writer)
    data = path.read_bytes()
    torn = tmp_path / "torn"
    torn.mkdir()
    for size in range(len(data)):
        (torn / SECONDS_FILE).write_bytes(data[:size])
        whole = data[:size].count(b"\n") + (data[size : size + 1] == b"\n")
        kinds = [line.split(b'"')[3].decode() for line in data.splitlines()[:whole]]
        record = read_load_record(torn)
        assert len(record.workers) == kinds.count("worker")
        assert len(record.users) == kinds.count("rows")
        assert (
            sum(one.completed for one in record.arrivals.values())
            == [0, 7, 8][kinds.count("arrivals")]
        )
        assert [step.ended for step in record.steps] == (
            [kinds.count("step-end") > 0] if "step" in kinds else []
        )
        assert not record.finished or "end" in kinds


@pytest.mark.parametrize(
    "line",
    [
        '{"kind":"arrivals","second":1,"offered":1,"started":1,"waited":0,"dropped":0,"late":[]}',
        '{"kind":"arrivals","second":1,"offered":-1,"started":1,"waited":0,"dropped":0,'
        '"completed":0,"late":[]}',
        '{"kind":"worker","second":1,"what":"lost"}',
        '{"kind":"step","number":1,"rate":1,"start_s":0}',
        '{"kind":"step-end","number":1,"in_flight":0}',
        '{"kind":"rows","second":1,"users":1,"rows":[["GET /a","success"]]}',
        '{"kind":"rows","second":1,"users":1,"rows":[["GET /a","success",[1],[1,-1]]]}',
    ],
)
def test_a_line_that_is_not_as_it_was_written_is_refused(path: Path, line: str) -> None:
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(RecordingError, match="holds a line that is not the generator's"):
        read_load_record(path.parent)
    with pytest.raises(LoadError, match="is damaged"):
        SecondsReader(path).progress()


def test_service_times_and_arrivals_are_drained_with_their_seconds() -> None:
    recorder = Recorder()
    for second in (1, 2):
        recorder.record(second, "GET", "/a", 3000, service_us=1000)
        recorder.tally(second).offered += 2
        recorder.tally(second).late(second * 100)
    recorder.record(1, "GET", "/a", 3000)  # a request whose send is all the intention there was
    first, rest = recorder.drain(before_second=2), recorder.drain()
    slow, quick = bucket_of(3000), bucket_of(1000)
    assert first.rows == {(1, "GET /a", "success"): {slow: 2}}
    assert first.service == {(1, "GET /a", "success"): {quick: 1}}
    assert first.arrivals == {1: Tally(offered=2, late_us={bucket_of(100): 1})}
    assert rest.service == {(2, "GET /a", "success"): {quick: 1}}
    assert rest.arrivals == {2: Tally(offered=2, late_us={bucket_of(200): 1})}
    assert recorder.drain() == Batch()


def test_tallies_of_several_processes_add_up() -> None:
    recorder = Recorder()
    recorder.add(Batch(arrivals={3: TALLY}))
    recorder.add(Batch(arrivals={3: TALLY, 4: LATER}))
    assert recorder.drain().arrivals == {
        3: Tally(18, 16, 4, 2, 14, {10: 10, 64: 2}),
        4: LATER,
    }
