"""What several workers report, put together into one record."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.load.gathering import ALONE, SILENCE_S, Gathering
from runner.load.recorder import Batch, Recorder, Tally, overflow_note
from runner.load.reporting import Report
from runner.load.seconds import SECONDS_FILE, SecondsWriter
from runner.model.recording import GeneratorSecond, LoadRecord, WorkerEvent
from runner.readback import read_load_record

KEY = "GET /a"


class Gathered:
    """A gathering, and what stands on disk of it."""

    def __init__(self, folder: Path, *names: str) -> None:
        self._folder = folder
        self.writer = SecondsWriter(folder / SECONDS_FILE, lambda: 99.0)
        self.gathering = Gathering(self.writer)
        self.gathering.open(10.0)
        for name in names:
            self.gathering.join(name, 0.0)

    @property
    def record(self) -> LoadRecord:
        return read_load_record(self._folder)

    @property
    def counts(self) -> dict[int, int]:
        """Second to requests on disk."""
        found: dict[int, int] = {}
        for row in self.record.rows:
            found[row.second] = found.get(row.second, 0) + row.count
        return found

    def close(self) -> None:
        self.gathering.close()
        self.writer.end(complete=self.gathering.complete, interrupted=self.gathering.interrupted)


def report(upto: int, *seconds: int, users: int = 5, **more: object) -> Report:
    """A report of one request in each of ``seconds``."""
    rows = {(second, KEY, "success"): {100: seconds.count(second)} for second in seconds}
    return Report(upto, users, Batch(rows), **more)  # type: ignore[arg-type]


@pytest.fixture
def two(tmp_path: Path) -> Gathered:
    return Gathered(tmp_path, "1", "2")


def test_a_second_is_written_when_the_slowest_worker_has_reported_it(two: Gathered) -> None:
    two.gathering.add("1", report(2, 0, 1, users=3), 2.1)
    assert (two.counts, two.record.users) == ({}, {})
    two.gathering.add("2", report(1, 0, users=4), 2.2)
    assert (two.counts, two.record.users) == ({0: 2}, {0: 7})
    two.gathering.add("2", report(2, 1, users=6), 2.3)
    assert (two.counts, two.record.users) == ({0: 2, 1: 2}, {0: 7, 1: 9})


def test_what_comes_late_is_one_more_line_of_its_second(two: Gathered) -> None:
    """Goal: a slow answer is booked when it was sent. Method: second 0 once more, in second 2."""
    for name in ("1", "2"):
        two.gathering.add(name, report(1, 0, users=1), 1.1)
    for name in ("1", "2"):
        two.gathering.add(name, report(2, 0, 1, users=8), 2.1)
    assert (two.counts, two.record.users) == ({0: 4, 1: 2}, {0: 2, 1: 16})


def test_a_silent_worker_is_lost_and_no_longer_waited_for(two: Gathered) -> None:
    two.gathering.add("1", report(1, 0), 1.0)
    two.gathering.add("2", report(1, 0), 1.0)
    two.gathering.add("1", report(4, 2), 4.0)
    assert two.gathering.silent(1.0 + SILENCE_S) == []
    assert two.gathering.silent(1.01 + SILENCE_S) == ["2"]
    assert two.gathering.silent(9.0 + SILENCE_S) == ["1"]
    assert two.gathering.working == ()
    assert two.record.workers == (
        WorkerEvent(0, "1", "joined"),
        WorkerEvent(0, "2", "joined"),
        WorkerEvent(4, "2", "lost"),
        WorkerEvent(12, "1", "lost"),
    )
    # Seconds in which nobody knows of worker 2 have the users of the other one.
    assert (two.counts, two.record.users) == ({0: 2, 2: 1}, {0: 10, 1: 5, 2: 5, 3: 5})


def test_a_lost_worker_that_speaks_again_is_heard_and_sent_away(two: Gathered) -> None:
    """Goal: what was sent is on record, whoever sent it; but nobody is waited for twice."""
    two.gathering.add("1", report(5, 0), 5.0)
    two.gathering.lose("2", 5.0)
    assert two.gathering.add("2", report(9, 0, 6, users=50), 9.0) is False
    two.gathering.back("2", 9.0)
    two.gathering.back("2", 9.5)
    assert two.gathering.users == 5
    two.gathering.add("1", report(7, 6), 9.6)
    assert (two.counts, two.record.users[6]) == ({0: 2, 6: 2}, 5)
    assert [event.what for event in two.record.workers] == ["joined", "joined", "lost", "back"]


def test_nobody_is_blamed_for_a_silence_of_the_master(two: Gathered) -> None:
    two.gathering.excuse(10.0)
    assert two.gathering.silent(10.0 + SILENCE_S) == []
    assert two.gathering.silent(10.1 + SILENCE_S) == ["1", "2"]


def test_the_load_is_complete_only_when_everybody_says_so(two: Gathered) -> None:
    two.gathering.done("1", complete=True, interrupted=2)
    assert not two.gathering.complete
    assert two.gathering.working == ("2",)
    two.gathering.done("2", complete=True, interrupted=1)
    two.close()
    assert (two.record.finished, two.record.complete, two.record.interrupted) == (True, True, 3)


@pytest.mark.parametrize("lost", [True, False])
def test_the_load_is_not_complete_when_one_was_lost_or_left_early(
    two: Gathered, lost: bool
) -> None:
    if lost:
        two.gathering.lose("2", 4.0)
    two.gathering.done("1", complete=True, interrupted=0)
    two.gathering.done("2", complete=lost, interrupted=0)  # a lost one may think that it did well
    two.close()
    assert (two.record.finished, two.record.complete) == (True, False)


def test_who_is_done_is_not_waited_for(two: Gathered) -> None:
    """Goal: the record grows while one worker still waits for a slow answer."""
    two.gathering.add("1", report(3, 2, users=0), 3.0)
    two.gathering.done("1", complete=True, interrupted=0)
    two.gathering.add("2", report(6, 2, 5, users=1), 6.0)
    assert two.counts == {2: 2, 5: 1}
    assert two.record.users == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1}
    two.gathering.done("2", complete=True, interrupted=0)
    assert two.gathering.reported_s == 6


def test_what_is_left_is_written_at_the_end_complete_or_not(two: Gathered) -> None:
    two.gathering.add("1", report(2, 0, 1, 1), 2.0)
    two.close()
    assert two.counts == {0: 1, 1: 2}


def test_each_process_accounts_for_itself_and_the_worst_one_counts(two: Gathered) -> None:
    two.gathering.add("1", report(1, cpu_ratio=0.25, lag_s=0.5, rss_bytes=100), 1.0)
    two.gathering.add("2", report(1, cpu_ratio=0.75, lag_s=0.001, rss_bytes=20), 1.0)
    assert two.record.generator == {0: GeneratorSecond(0.75, 0.5, 120)}


def test_users_and_arrivals_under_way_are_those_of_all_who_are_there(two: Gathered) -> None:
    two.gathering.add("1", report(1, users=3, busy=2), 1.0)
    two.gathering.add("2", report(1, users=4, busy=5), 1.0)
    assert (two.gathering.users, two.gathering.busy) == (7, 7)
    two.gathering.lose("2", 4.0)
    assert (two.gathering.users, two.gathering.busy) == (3, 2)


def test_a_sentence_is_written_once_and_names_its_worker(two: Gathered) -> None:
    for name in ("1", "2", "1"):
        two.gathering.add(name, report(0, notes=("odd",)), 1.0)
    assert two.record.notes == ("worker 1: odd", "worker 2: odd")


def test_a_sentence_from_before_the_start_follows_the_start(tmp_path: Path) -> None:
    writer = SecondsWriter(tmp_path / SECONDS_FILE, lambda: 0.0)
    gathering = Gathering(writer)
    gathering.note("early")
    gathering.open(10.0)
    gathering.note("early")
    gathering.join(ALONE, 0.0)
    gathering.add(ALONE, report(0, notes=("odd",)), 1.0)
    text = (tmp_path / SECONDS_FILE).read_text()
    assert text.startswith('{"kind":"start","wall_s":10.0}\n')
    assert read_load_record(tmp_path).notes == ("early", "odd")
    assert read_load_record(tmp_path).workers == ()


def test_too_many_endpoints_of_all_workers_together_are_said(two: Gathered) -> None:
    """Each worker keeps within the limit, and both together do not."""
    for name in ("1", "2"):
        rows = {(0, f"GET /{name}/{number}", "success"): {100: 1} for number in range(300)}
        two.gathering.add(name, Report(1, 5, Batch(rows)), 1.0)
    assert two.record.notes == (overflow_note(500),)
    assert sum(row.count for row in two.record.rows) == 600
    assert sum(row.count for row in two.record.rows if row.endpoint == "(other)") == 100


def test_failures_whose_text_is_not_kept_are_said(two: Gathered) -> None:
    """Goal: no silent loss. Method: one kind more than there is room for, over two workers."""
    for name, first in (("1", 0), ("2", 150)):
        texts = {(KEY, "error", f"kind {first + n}"): 1 for n in range(150)}
        two.gathering.add(name, Report(1, 5, Batch(failures=texts)), 1.0)
    two.close()
    assert len(two.record.failures) == 200
    assert two.record.dropped_failures == 100
    assert two.record.notes == (
        "more than 200 kinds of failure: of the others no text is kept, and they are counted by "
        "outcome alone",
    )


def test_a_killed_generator_leaves_every_second_that_all_have_reported(two: Gathered) -> None:
    """Goal: as it comes, not at the end. Method: no close, and the tear in the last line."""
    for name in ("1", "2"):
        two.gathering.add(name, report(3, 0, 1, 2), 3.0)
    two.gathering.add("1", report(4, 3), 4.0)
    path = two._folder / SECONDS_FILE
    with path.open("ab") as file:
        file.write(b'{"kind":"rows","second":3,"us')
    assert (two.counts, two.record.finished) == ({0: 2, 1: 2, 2: 2}, False)


requests = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(1, 10**6), st.integers(0, 3)),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(requests)
def test_however_it_is_dealt_and_delayed_the_record_is_that_of_one(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[int, int, int, int]]
) -> None:
    """Goal: the record does not depend on the number of workers, nor on who is late.

    Method: each request goes to one of three workers and is reported some seconds late; the sum
    of all lines is compared with what a single recorder holds.
    """
    gathered = Gathered(tmp_path_factory.mktemp("merged"), "0", "1", "2")
    alone = Recorder()
    workers = [Recorder() for _ in range(3)]
    for now in range(9):
        for second, worker, latency_us, late in items:
            if second + late == now:
                for recorder in (alone, workers[worker]):
                    recorder.record(second, "GET", "/a", latency_us, service_us=latency_us / 2)
                    recorder.tally(second).started += 1
                    recorder.tally(second).late(latency_us)
        for name, recorder in enumerate(workers):
            gathered.gathering.add(str(name), Report(now + 1, 2, recorder.drain()), now + 1.0)
    expected = alone.drain()
    latency: dict[int, dict[int, int]] = {}
    service: dict[int, dict[int, int]] = {}
    for row in gathered.record.rows:
        assert row.service_us is not None
        for found, counts in ((latency, row.latency_us), (service, row.service_us)):
            for bucket, count in counts.items():
                at = found.setdefault(row.second, {})
                at[bucket] = at.get(bucket, 0) + count
    assert latency == {key[0]: counts for key, counts in expected.rows.items()}
    assert service == {key[0]: counts for key, counts in expected.service.items()}
    arrivals = gathered.record.arrivals
    assert {s: Tally(started=a.started, late_us=dict(a.late_us)) for s, a in arrivals.items()} == (
        expected.arrivals
    )


def test_what_was_waited_for_is_written_as_soon_as_somebody_is_done(two: Gathered) -> None:
    """Goal: the seconds of those who go on are written at once. Method: no report after the end."""
    two.gathering.add("1", report(1, 0), 1.0)
    two.gathering.add("2", report(2, 0, 1), 2.0)
    assert two.counts == {0: 2}
    two.gathering.done("1", complete=True, interrupted=0)
    assert two.counts == {0: 2, 1: 1}


def test_what_a_shape_wanted_belongs_to_the_second_before_the_report(two: Gathered) -> None:
    """Both workers know the same of it; before the first second has ended nobody is asked."""
    two.gathering.add("1", report(0, wanted=3), 0.5)
    assert two.record.wanted == {}
    for name in ("1", "2"):
        two.gathering.add(name, report(1, 0, wanted=4), 1.1)
        two.gathering.add(name, report(2, 1, wanted=9), 2.1)
    two.gathering.add("1", report(3, 2), 3.1)
    assert two.record.wanted == {0: 4, 1: 9}


def test_who_comes_too_late_is_on_record(two: Gathered) -> None:
    two.gathering.tell(7, "3", "late")
    assert two.record.workers[2:] == (WorkerEvent(7, "3", "late"),)
    assert two.gathering.working == ("1", "2")


def test_what_was_waited_for_is_written_as_soon_as_somebody_is_lost(two: Gathered) -> None:
    two.gathering.add("1", report(2, 0, 1), 2.0)
    two.gathering.lose("2", 4.5)
    assert two.counts == {0: 1, 1: 1}
