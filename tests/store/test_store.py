"""The results folder: round trips, atomicity, and folders that are torn or foreign."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

from runner.errors import RecordingError, UsageError
from runner.model.recording import Event, Manifest, Signals
from runner.store import RunDir, Store, write_atomically


def event(action: str) -> Event:
    return Event(wall_s=1.5, offset_s=0.5, source="run", action=action, kind="note")


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return Store(tmp_path).create_run("normal", 1_700_000_000.0)


def test_a_run_folder_is_named_by_time_and_never_reused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    runs = {store.create_run("normal", 1_700_000_000.0).path for _ in range(20)}
    assert len(runs) == 20
    assert all(path.name.startswith("2023-11-14T221320Z-") for path in runs)


def test_the_journal_reads_back_in_order(run: RunDir) -> None:
    for action in ("a", "b", "c"):
        run.append_event(event(action))
    assert [e.action for e in run.read_events()] == ["a", "b", "c"]


def test_a_torn_last_line_is_what_a_killed_writer_leaves(run: RunDir) -> None:
    run.append_event(event("a"))
    with run.events_path.open("a") as out:
        out.write('{"wall_s": 1.')
    assert [e.action for e in run.read_events()] == ["a"]


def test_a_line_after_a_torn_one_is_whole(run: RunDir) -> None:
    """Goal: a killed runner's journal takes the heal. Method: append to a torn file, read all."""
    run.append_event(event("a"))
    with run.events_path.open("a") as out:
        out.write('{"wall_s": 1.')
    run.append_event(event("b"))
    assert [e.action for e in run.read_events()] == ["a", "b"]


def test_a_line_that_a_full_disk_cut_leaves_no_trace(run: RunDir) -> None:
    """Goal: a disk that was full once does not spoil the journal. Method: a limit on file sizes."""
    run.append_event(event("a"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (run.events_path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(
            RecordingError, match=r"events\.jsonl cannot be written: File too large"
        ):
            run.append_event(event("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run.append_event(event("c"))
    assert [e.action for e in run.read_events()] == ["a", "c"]


def test_a_file_that_cannot_be_written_keeps_what_it_held(run: RunDir) -> None:
    """Goal: all or nothing. Method: a second, longer text on a disk that takes 20 bytes."""
    path = run.path / "file.json"
    write_atomically(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(RecordingError, match=r"file\.json cannot be written: File too large"):
            write_atomically(path, "new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert [p.name for p in run.path.iterdir() if "file" in p.name] == ["file.json"]


def test_damage_in_the_middle_is_refused_with_its_line(run: RunDir) -> None:
    run.events_path.write_text('{"wall\n' + event("a").model_dump_json() + "\n")
    with pytest.raises(RecordingError, match=r"events\.jsonl:1 is damaged"):
        run.read_events()


def test_rows_of_a_second_add_up_and_failures_too(run: RunDir) -> None:
    lines = [
        {"kind": "start", "wall_s": 1.0},
        {"kind": "rows", "second": 3, "users": 5, "rows": [["GET /", "success", [[10, 2]]]]},
        {
            "kind": "rows",
            "second": 3,
            "users": 6,
            "rows": [["GET /", "success", [[10, 1], [12, 4]]]],
        },
        {"kind": "failures", "failures": [["GET /", "http_5xx", "HTTP 503", 2]], "dropped": 1},
        {"kind": "failures", "failures": [["GET /", "http_5xx", "HTTP 503", 3]], "dropped": 0},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.load_dir / "seconds.jsonl").write_text(text)
    record = run.read_load()
    assert sum(row.count for row in record.rows) == 7
    assert record.users == {3: 6}
    assert record.failures == {("GET /", "http_5xx", "HTTP 503"): 5}
    assert record.dropped_failures == 1
    assert not record.finished


def test_a_kubeconfig_path_never_reaches_the_folder(run: RunDir) -> None:
    """Goal: no path to a credential in the results. Method: a manifest with one."""
    target = {
        "kind": "sandbox",
        "name": "x",
        "namespace": "n",
        "ingress_url": "http://i",
        "host": "h",
        "prometheus_url": "http://p",
        "kubeconfig": "/secret/kubeconfig",
    }
    manifest = Manifest.model_validate(
        {
            "run_id": run.run_id,
            "experiment": "normal",
            "experiment_sha256": "0",
            "state": "planned",
            "created_at": "now",
            "target": target,
        }
    )
    run.write_manifest(manifest)
    assert "secret" not in run.manifest_path.read_text()
    assert run.read_manifest().run_id == run.run_id


def test_a_foreign_folder_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"is not a run folder: it has no plan\.json"):
        RunDir(tmp_path).recording()


def test_another_versions_file_is_refused_with_the_field(run: RunDir) -> None:
    write_atomically(run.signals_path, '{"services": ["a"], "future": 1}')
    with pytest.raises(RecordingError, match="is not a signals of this version: future"):
        run.read_signals()


def test_what_is_not_a_number_is_not_read(run: RunDir) -> None:
    """Goal: no NaN gets in. Method: a file that some other program has written."""
    write_atomically(run.signals_path, '{"services": [], "late_flags": {"a": NaN}}')
    with pytest.raises(RecordingError, match="NaN is not JSON"):
        run.read_signals()


def test_absent_signals_are_none_and_not_empty(run: RunDir) -> None:
    assert run.read_signals() is None
    run.write_signals(Signals(services=("a",)))
    assert run.read_signals() == Signals(services=("a",))


def test_a_failed_activity_of_chaos_toolkit_is_not_lost(run: RunDir) -> None:
    folder = run.fault_dir("01-x")
    item = {
        "activity": {"name": "inject"},
        "status": "failed",
        "exception": ["Traceback\n", "ActivityFailed: no route\n"],
    }
    write_atomically(folder / "journal.json", json.dumps({"status": "completed", "run": [item]}))
    record = run._read_fault("01-x")
    assert record.journal_status == "completed"
    assert record.failed_activities == ("inject: ActivityFailed: no route",)


def test_a_step_without_a_reason_says_what_became_of_it(run: RunDir) -> None:
    """Goal: no empty words. Method: steps of a child that was ended, with and without a status."""
    states: list[tuple[str, dict[str, str]]] = [("a", {"status": "aborted"}), ("b", {})]
    steps = [{"activity": {"name": name}, **state} for name, state in states]
    journal = {"status": "interrupted", "run": steps}
    write_atomically(run.fault_dir("01-x") / "journal.json", json.dumps(journal))
    found = run._read_fault("01-x").failed_activities
    assert found == ("a: it was aborted", "b: it was not finished")


def test_a_torn_journal_of_chaos_toolkit_is_evidence_of_trouble_only(run: RunDir) -> None:
    """Goal: a killed child does not make the run unreadable. Method: half a journal."""
    write_atomically(run.fault_dir("01-x") / "journal.json", '{"status": "comp')
    assert run._read_fault("01-x").journal_status == "unreadable"


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "rows", "second": 0.5, "users": 1, "rows": []}',
        '{"kind": "rows", "second": 1, "users": [], "rows": []}',
        '{"kind": "rows", "second": 1, "users": 1, "rows": [[3, "success", []]]}',
        '{"kind": "generator", "second": 1, "cpu_ratio": "x", "lag_s": 0, "rss_bytes": 0}',
        '{"kind": "rows", "second": 1}',
        '{"second": 1}',
        '{"kind": "failures", "failures": 3}',
    ],
)
def test_a_line_that_is_not_the_generators_is_refused(run: RunDir, line: str) -> None:
    (run.load_dir / "seconds.jsonl").write_text(line + "\n")
    with pytest.raises(RecordingError, match=r"seconds\.jsonl holds a line that is not"):
        run.read_load()


@pytest.mark.parametrize(("line", "complete"), [({}, False), ({"complete": True}, True)])
def test_a_record_is_complete_only_where_it_says_so(
    run: RunDir, line: dict[str, object], complete: bool
) -> None:
    text = json.dumps({"kind": "end", "wall_s": 1.0, **line})
    (run.load_dir / "seconds.jsonl").write_text(text + "\n")
    assert (run.read_load().finished, run.read_load().complete) == (True, complete)


def test_a_name_that_no_folder_can_have_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run in"):
        Store(tmp_path).find("a" * 300)


def test_latest_points_at_the_newest_run_and_names_find_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for wall_s in (1_700_000_000.0, 1_700_000_100.0):
        run = store.create_run("normal", wall_s)
        write_atomically(run.plan_path, "{}")
        store.link_latest(run)
    for name in ("latest", "normal", run.run_id, run.run_id[-4:], str(run.path)):
        assert store.find(name).run_id == run.run_id
    assert len(list(store.runs())) == 2


def test_an_unknown_run_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Store(tmp_path).find("nonsense")
    assert "no run in" in caught.value.message
    assert caught.value.accepted.endswith("newest: none yet")


def test_an_unknown_run_lists_the_newest_first(tmp_path: Path) -> None:
    """Goal: the run that is probably meant comes first. Method: seven, of which five are named."""
    store = Store(tmp_path)
    runs = [store.create_run("normal", 1_700_000_000.0 + 100 * n) for n in range(7)]
    for run in runs:
        write_atomically(run.plan_path, "{}")
    with pytest.raises(UsageError) as caught:
        store.find("nonsense")
    named = ", ".join(run.run_id for run in reversed(runs[2:]))
    assert caught.value.accepted.endswith(f"newest: {named}")


def test_a_lone_surrogate_in_a_failure_does_not_spoil_what_is_written_later(run: RunDir) -> None:
    """Goal: hostile bytes stop no report. Method: JSON may carry them, UTF-8 files may not."""
    line = '{"kind":"failures","failures":[["GET /","error","x\\ud800y",1]],"dropped":0}\n'
    (run.load_dir / "seconds.jsonl").write_text(line)
    ((_, _, text),) = run.read_load().failures
    assert text == "x?y"
