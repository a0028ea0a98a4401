"""Everything on disk under ``results/``: the only module that spells its paths.

Writes are atomic (a temporary name, then a rename), except for the journal, which is appended and
synced line by line, so that it tells what was about to happen even after a power cut. A run folder
is never overwritten.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from runner.errors import RecordingError, UsageError
from runner.glance import glance
from runner.legible import encodable
from runner.model.evaluation import Evaluation
from runner.model.faultrecord import Effect, FaultRecord
from runner.model.plan import Plan
from runner.model.recording import Event, LoadRecord, Manifest, Recording, Signals
from runner.model.shape import Model
from runner.model.summary import RunFiles, RunSummary, newest_first, summary_of
from runner.model.surroundings import KINDS, Surroundings, surroundings_of
from runner.readback import LoadReader, json_file, json_lines, read_journal
from runner.textfile import is_special, write_special

M = TypeVar("M", bound=Model)

FAULT_EXPERIMENT, FAULT_JOURNAL = "experiment.json", "journal.json"
FAULT_EFFECTS, FAULT_LOG = "effects.jsonl", "chaos.log"
"""Files in a fault's folder, which its child writes."""


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` such that a reader sees all of it or the old content.

    Half characters, as names of files and answers of servers may hold, become U+FFFD: a record that
    lacks one is worth more than none. A device or pipe is written into, and stays what it is.

    Raises:
        RecordingError: When it cannot be written, as on a full disk.
    """
    if is_special(path):
        with _writing(path):
            write_special(path, encodable(text).encode())
        return
    path = path.resolve() if path.is_symlink() else path  # The link stays one.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8") as out:
                out.write(encodable(text))
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror or error}") from error


def to_json(value: Any) -> str:
    """``value`` as JSON that ``git diff`` and ``jq`` like: sorted keys, a newline at the end."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


class RunDir:
    """The folder of one run.

    Args:
        path: ``results/<experiment>/<UTC time>-<id>``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._load = LoadReader(self.load_dir)

    @property
    def run_id(self) -> str:
        """The folder's name: UTC time and a random suffix; unique, sorts by time."""
        return self.path.name

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    @property
    def plan_path(self) -> Path:
        return self.path / "plan.json"

    @property
    def experiment_path(self) -> Path:
        return self.path / "experiment.yaml"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def load_dir(self) -> Path:
        return self.path / "load"

    @property
    def signals_path(self) -> Path:
        return self.path / "signals" / "signals.json"

    @property
    def raw_signals_dir(self) -> Path:
        return self.path / "signals" / "raw"

    @property
    def evaluation_path(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def report_dir(self) -> Path:
        return self.path / "report"

    @property
    def page_path(self) -> Path:
        return self.report_dir / "index.html"

    def files(self) -> RunFiles:
        """The small files that say what became of the run; never its load."""
        return glance(
            self.path,
            self.manifest_path,
            self.plan_path,
            self.evaluation_path,
            page=self.page_path,
            growing=self.events_path,
        )

    def fault_dir(self, fault_id: str) -> Path:
        return self.path / "chaos" / fault_id

    def fault_ids(self) -> list[str]:
        """Ids of the faults that have a folder: those whose injection has begun."""
        return sorted(path.name for path in self.fault_dir("x").parent.glob("*/"))

    def target_dir(self, when: str) -> Path:
        return self.path / "target" / when

    def log_path(self, part: str) -> Path:
        folder = self.path / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{part}.log"

    # -- writing ---------------------------------------------------------------------------------

    def write_manifest(self, manifest: Manifest) -> None:
        self._write(self.manifest_path, manifest)

    def write_plan(self, plan: Plan, experiment_text: str) -> None:
        self._write(self.plan_path, plan)
        write_atomically(self.experiment_path, experiment_text)

    def write_signals(self, signals: Signals) -> None:
        self._write(self.signals_path, signals)

    def write_evaluation(self, evaluation: Evaluation) -> None:
        self._write(self.evaluation_path, evaluation)

    def append_event(self, event: Event) -> None:
        """Add a line to the journal and return only when it is on disk.

        Raises:
            RecordingError: When it cannot be written, as on a full disk.
        """
        fit = event.model_copy(update={"detail": encodable(event.detail)})
        line = (fit.model_dump_json() + "\n").encode()
        # Without a buffer, which would try a failed write again when it is closed.
        with (
            _writing(self.events_path),
            self.events_path.open("a+b", buffering=0) as out,
        ):
            end = _drop_torn_line(out)
            try:
                while line:
                    line = line[out.write(line) :]
                os.fsync(out.fileno())
            except OSError:
                out.truncate(end)
                raise

    @staticmethod
    def _write(path: Path, value: Model) -> None:
        write_atomically(path, to_json(value.model_dump(mode="json", by_alias=True)))

    # -- reading ---------------------------------------------------------------------------------

    def read_manifest(self) -> Manifest:
        return self._read(self.manifest_path, Manifest)

    def read_plan(self) -> Plan:
        return self._read(self.plan_path, Plan)

    def read_evaluation(self) -> Evaluation:
        return self._read(self.evaluation_path, Evaluation)

    def read_signals(self) -> Signals | None:
        """What was collected; None when the run ended before anything was."""
        return self._read(self.signals_path, Signals) if self.signals_path.exists() else None

    def read_events(self) -> tuple[Event, ...]:
        return tuple(
            self._validate(Event, record, self.events_path)
            for record in json_lines(self.events_path)
        )

    def read_load(self) -> LoadRecord:
        return self._load.read()

    def read_faults(self, plan: Plan) -> tuple[FaultRecord, ...]:
        return tuple(self._read_fault(fault.id) for fault in plan.faults)

    def recording(self) -> Recording:
        """The whole run, read back.

        Raises:
            RecordingError: When the folder is torn, foreign or of another version.
        """
        plan = self.read_plan()
        return Recording(
            manifest=self.read_manifest(),
            plan=plan,
            events=self.read_events(),
            load=self.read_load(),
            signals=self.read_signals(),
            faults=self.read_faults(plan),
            surroundings=self.read_surroundings(),
        )

    def read_surroundings(self) -> Surroundings:
        """What stood around the load, out of the snapshot of before; empty without one."""
        folder = self.target_dir("before")
        paths = {kind: folder / f"{kind}.json" for kind in KINDS}
        found = {kind: json_file(path) for kind, path in paths.items() if path.exists()}
        try:
            return surroundings_of(found)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"{folder} holds objects that are none: {error}") from error

    def _read_fault(self, fault_id: str) -> FaultRecord:
        folder = self.fault_dir(fault_id)
        journal_path = folder / FAULT_JOURNAL
        status, failed = read_journal(journal_path) if journal_path.exists() else ("", ())
        effects = tuple(
            self._validate(Effect, record, folder / FAULT_EFFECTS)
            for record in json_lines(folder / FAULT_EFFECTS)
        )
        return FaultRecord(
            id=fault_id,
            journal_status=status,
            failed_activities=failed,
            effects=effects,
        )

    def _read(self, path: Path, kind: type[M]) -> M:
        return self._validate(kind, json_file(path), path)

    @staticmethod
    def _validate(kind: type[M], record: Any, path: Path) -> M:
        try:
            # JSON mode: JSON has no tuples and no enums, and strict models know that.
            return kind.model_validate_json(json.dumps(record))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise RecordingError(
                f"{path} is not a {kind.__name__.lower()} of this version: {where}: {first['msg']}",
                hint="the run was recorded by another version of seatrial, or the file was edited",
            ) from error


class Store:
    """The results folder.

    Args:
        root: ``results/``; made when the first run is.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def create_run(self, experiment: str, wall_s: float) -> RunDir:
        """Make the folder of a new run; never an existing one.

        Raises:
            UsageError: When the results folder cannot be written.
        """
        stamp = datetime.fromtimestamp(wall_s, UTC).strftime("%Y-%m-%dT%H%M%SZ")
        folder = self.root / experiment
        try:
            folder.mkdir(parents=True, exist_ok=True)
            while True:
                path = folder / f"{stamp}-{secrets.token_hex(2)}"
                with contextlib.suppress(FileExistsError):
                    path.mkdir()
                    (path / "load").mkdir()
                    return RunDir(path)
        except OSError as error:
            raise UsageError(
                f"the results folder {self.root} cannot be written: {error.strerror or error}",
                hint="name another with --results",
            ) from error

    def link_latest(self, run: RunDir) -> None:
        """Point ``latest`` of the experiment, and of all, at ``run``.

        Raises:
            RecordingError: When a link cannot be made; some file systems have none.
        """
        _relink(run.path.parent / "latest", run.path)
        _relink(self.root / "latest", run.path)

    def runs(self) -> Iterator[RunDir]:
        """All runs, oldest first."""
        paths = [p.parent for p in self.root.glob("*/*/plan.json") if not p.parent.is_symlink()]
        return (RunDir(path) for path in sorted(paths, key=lambda p: p.name))

    @property
    def index_path(self) -> Path:
        """The page of all runs."""
        return self.root / "index.html"

    def comparison_path(self, first: RunDir, second: RunDir) -> Path:
        """The page that compares two runs."""
        return self.root / "compare" / f"{first.run_id}-{second.run_id}.html"

    def folders(self) -> Iterator[RunDir]:
        """Everything that stands where runs do, whether or not it is one."""
        for path in sorted(self.root.glob("*/*/")):
            if path.name.startswith(".") or path.parent.name.startswith("."):
                continue
            if not (path.is_symlink() or path.parent.is_symlink()):
                yield RunDir(path)

    def summaries(self, now_s: float) -> list[RunSummary]:
        """A line about each run, newest first, as of the Unix time ``now_s``."""
        return newest_first([summary_of(folder.files(), now_s) for folder in self.folders()])

    def find(self, name: str) -> RunDir:
        """The run that ``name`` means: a folder, a run id, ``latest`` or an experiment's name.

        Raises:
            UsageError: When there is none, or more than one.
        """
        for path in (Path(name), self.root / name, self.root / name / "latest"):
            with contextlib.suppress(OSError):  # Such as a name of more than 255 characters.
                if (path / "plan.json").is_file():
                    return RunDir(path.resolve())
        matches = [run for run in self.runs() if run.run_id == name or run.run_id.endswith(name)]
        if len(matches) == 1:
            return matches[0]
        known = ", ".join(run.run_id for run in [*self.runs()][:-6:-1]) or "none yet"
        problem = "more than one run" if matches else "no run"
        raise UsageError(
            f"{problem} in {self.root} is called {name!r}",
            accepted=f"a run folder, a run id, an experiment's name or 'latest'; newest: {known}",
        )


def _drop_torn_line(file: io.FileIO) -> int:
    """Cut off what a killed writer left, which would spoil the next line too; the length then."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return 0
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return end
    file.seek(0)
    whole = file.readall().rfind(b"\n") + 1
    file.truncate(whole)
    return whole


def _relink(link: Path, to: Path) -> None:
    temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
    with _writing(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(to, link.parent))
        temporary.replace(link)
