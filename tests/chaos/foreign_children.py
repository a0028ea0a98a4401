"""Faults made of Chaos Toolkit activities, carried out by real children, for tests."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bare_api import NAMESPACE, BareApi
from chaos_plans import planned

from runner.analysis.faultchecks import fault_gone, fault_injected
from runner.chaos.toolkit import ChaosChild, ToolkitInjector
from runner.model.evaluation import Finding
from runner.model.experiment import Experiment
from runner.model.faultrecord import FaultRecord
from runner.model.plan import PlannedFault, make_plan
from runner.model.recording import ClockAnchor, Event, LoadRecord, Manifest, Recording
from runner.store import RunDir

RUN = "2026-11-20T092337Z-f0e1"
FAULT = "01-chaostoolkit"
HERE = Path(__file__).parent


def python(kind: str, func: str, name: str = "", **arguments: Any) -> dict[str, Any]:
    """An activity with a function of ``foreign_activities``."""
    provider = {"type": "python", "module": "foreign_activities", "func": func}
    return {
        "type": kind,
        "name": name or func,
        "provider": provider | {"arguments": arguments} if arguments else provider,
    }


def process(*argv: str, name: str = "program", **more: Any) -> dict[str, Any]:
    """An action that is a program."""
    provider = {"type": "process", "path": argv[0], "arguments": list(argv[1:])}
    return {"type": "action", "name": name, "provider": provider, **more}


def run_folder(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "results" / "x" / RUN)


def start(
    api: BareApi,
    folder: RunDir,
    *,
    duration_s: float = 0.5,
    lead_s: float = 0.0,
    **fields: Any,
) -> tuple[PlannedFault, ChaosChild, float]:
    """Fault, child and Unix time of offset 0 of a fault that starts ``lead_s`` from now."""
    fault = planned("chaostoolkit", start_s=10.0, duration_s=duration_s, **fields)
    starts_s = time.time() + lead_s
    child = ToolkitInjector().inject(fault, RUN, api.target, folder.fault_dir(fault.id), starts_s)
    return fault, child, starts_s - 10.0


def until_end(child: ChaosChild, bound_s: float = 30.0) -> int:
    """The exit code of a child; it and its private folder are gone then."""
    end_s = time.monotonic() + bound_s
    while child.poll() is None:
        assert time.monotonic() < end_s, child.tail(20)
        time.sleep(0.05)
    child.stop(1.0)
    code = child.poll()
    assert code is not None
    return code


def record_of(folder: RunDir, fault: PlannedFault) -> FaultRecord:
    """What is on record, by the way of the evaluation."""
    return folder._read_fault(fault.id)


def findings(fault: PlannedFault, record: FaultRecord, zero_s: float) -> tuple[Finding, Finding]:
    """What the evaluation says: injected, and gone (when the heal found nothing to do)."""
    written = {
        "name": "x",
        "description": "A run for a test.",
        "load": {"locustfile": "shop.py", "stages": [{"duration": "60s", "users": 1}]},
        "objectives": ["errors < 1%"],
    }
    plan = make_plan(Experiment.model_validate(written)).model_copy(update={"faults": (fault,)})
    recording = Recording(
        manifest=Manifest(
            run_id=RUN,
            experiment="x",
            experiment_sha256="",
            state="recorded",
            created_at="2026-11-20T09:23:37Z",
            anchor=ClockAnchor(load_started_wall_s=zero_s),
        ),
        plan=plan,
        events=(
            Event(wall_s=zero_s, source=fault.id, action="inject", kind="begin"),
            Event(wall_s=zero_s, source=fault.id, action="heal", kind="ok"),
        ),
        load=LoadRecord(
            rows=(), users=dict.fromkeys(range(60), 1), failures={}, finished=True, complete=True
        ),
        signals=None,
        faults=(record,),
    )
    return fault_injected(fault, record, recording), fault_gone(fault, record, recording)


def markers(api: BareApi) -> list[str]:
    found = api.core.list_namespaced_config_map(
        NAMESPACE, label_selector="app.kubernetes.io/managed-by=seatrial-fault"
    )
    names = [str(item.metadata.name) for item in found.items]
    return [name for name in names if RUN.lower() in name]
