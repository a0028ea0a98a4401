"""An exported experiment on the sandbox, load and all, by nobody but Chaos Toolkit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from runner.chaos.exporting import exported
from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.targets.sandbox.control import SandboxInfo

WRITTEN = {
    "name": "exported",
    "description": "Does a plain chaos run break what it should, and only while it should?",
    "load": {"locustfile": "shop.py", "stages": [{"duration": "8s", "users": 20}]},
    "faults": [
        {
            "kind": "http-abort",
            "service": "payment-api",
            "at": "2s",
            "duration": "4s",
            "status": 503,
        },
        {
            "kind": "chaostoolkit",
            "service": "order-api",
            "at": "3s",
            "duration": "2s",
            "method": [
                {"type": "action", "name": "do", "provider": {"type": "process", "path": "true"}}
            ],
        },
    ],
    "objectives": ["errors < 100%"],
}


@pytest.mark.sandbox
def test_load_and_faults_run_without_seatrial(sandbox_info: SandboxInfo, tmp_path: Path) -> None:
    """Goal: the export does what the experiment says. Method: ``chaos run`` on the sandbox: the
    load meets the fault, the journal is without blemish, and the objects are as before."""
    document = exported(
        make_plan(Experiment.model_validate(WRITTEN)),
        "",
        locustfile="locustfiles/shop.py",
        namespace=sandbox_info.namespace,
        host=sandbox_info.ingress_url,
    )
    source, journal_path = tmp_path / "exported.json", tmp_path / "journal.json"
    source.write_text(json.dumps(document))
    log = tmp_path / "effects.jsonl"
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "chaostoolkit", "--no-version-check", "--no-log-file"),
            *("run", "--journal-path", str(journal_path), str(source)),
        ],
        cwd=ROOT,
        env=os.environ
        | {
            "KUBECONFIG": str(sandbox_info.kubeconfig),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "SEATRIAL_EFFECTS": str(log),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    journal = json.loads(journal_path.read_text())
    steps = [*journal["run"], *journal["rollbacks"]]
    assert (journal["status"], {step["status"] for step in steps}) == ("completed", {"succeeded"})
    (load,) = (step for step in journal["run"] if step["activity"]["name"] == "load")
    said = load["output"]["stdout"] + load["output"]["stderr"]
    assert "POST /api/v1/orders" in said
    assert "503" in said
    seen = [json.loads(line) for line in log.read_text().splitlines()]
    undone = [line["subject"] for line in seen if line["what"] == "gone"]
    assert {"fault/seatrial-exported-exported-01-http-abort"} <= set(undone)
