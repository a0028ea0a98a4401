"""Every kind of fault, carried out twice on a sandbox: by ``seatrial run``, and by ``chaos run``.

    python benchmarks/bench_fault_kinds.py [--only scale,drain] [--json FILE]

``seatrial run`` with one fault: what its evaluation found is read from the run's folder. Then the
compiled experiment of the same fault, checked by ``chaos validate`` and carried out by a plain
``chaos run`` that knows nothing but a kubeconfig, with a little traffic meanwhile: what it wrote
down, and whether anything was hit, is looked at. Both times every object is compared with the state
before. Ends with 1 when a cell of the table is not as it should be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

import requests
from bench_fault_timing import target_of
from commands import SHOP, Place, seatrial
from survival_state import State, differences, look

from runner.chaos.client import KubeCluster
from runner.chaos.compile import compile_fault
from runner.model.evaluation import Evaluation
from runner.model.experiment import Experiment
from runner.model.plan import PlannedFault, make_plan
from runner.model.recording import TargetInfo
from runner.store import to_json
from runner.targets.sandbox import control

SERVICE, PATH = "payment-api", "/api/v1/payments"
AT_S, LASTS_S, LOAD_S, USERS = 4, 8, 16, 40
NODES = 2
WHOLE_BOUND_S, RUN_BOUND_S = 40.0, 90.0
SLOW_S, FEWEST_HITS = 0.25, 5

KINDS: Mapping[str, dict[str, Any]] = {
    "pod-kill": {"kind": "pod-kill"},
    "http-delay, client": {"kind": "http-delay", "delay": "300ms"},
    "http-delay, server": {"kind": "http-delay", "delay": "300ms", "side": "server"},
    "http-abort, client": {"kind": "http-abort", "status": 503},
    "http-abort, server": {"kind": "http-abort", "status": 503, "side": "server"},
    "scale": {"kind": "scale", "replicas": 1},
    "rollout-restart": {"kind": "rollout-restart"},
    "cordon": {"kind": "cordon"},
    "drain": {"kind": "drain"},
    "network-deny": {"kind": "network-deny"},
    "chaostoolkit": {
        "kind": "chaostoolkit",
        "steady_state": [
            {
                "type": "probe",
                "name": "the shop answers",
                "tolerance": 200,
                "provider": {"type": "http", "url": "${shop}", "headers": {"Host": "${host}"}},
            }
        ],
        "method": [
            {
                "type": "action",
                "name": "break something",
                "provider": {"type": "process", "path": "true", "arguments": []},
            }
        ],
        "rollbacks": [
            {
                "type": "action",
                "name": "mend it",
                "provider": {"type": "process", "path": "true", "arguments": []},
            }
        ],
    },
}
"""Label to the fault; service, time and duration are the same for all."""

LASTING = {"rollout-restart": (f"deployment/{SERVICE}",)}
"""What a kind changes for good, by its nature: the date of the restart."""
BY_ITSELF = ("pod-kill", "rollout-restart")
"""The cluster undoes these; ``ready`` is the evidence."""
UNSEEN = ("chaostoolkit",)
"""Only who wrote the activities knows what to look for."""


@dataclass
class Way:
    """What became of a fault, on one of the two ways.

    Attributes:
        injected: It took effect.
        verified: It was read back.
        seen: Somebody else noticed it.
        undone: It was taken away, or the cluster made itself whole.
        gone: That was looked at again.
        differences: What was not as before, of all objects.
        trouble: What else was not as it should be.
    """

    injected: bool = False
    verified: bool = False
    seen: bool = False
    undone: bool = False
    gone: bool = False
    differences: list[str] = field(default_factory=list)
    trouble: str = ""

    @property
    def well(self) -> bool:
        said = (self.injected, self.verified, self.seen, self.undone, self.gone)
        return all(said) and not self.differences and not self.trouble


@dataclass(frozen=True)
class Bench:
    """A sandbox that is up, with a client that is nobody's but ours."""

    info: control.SandboxInfo
    cluster: KubeCluster
    place: Place

    @property
    def target(self) -> TargetInfo:
        return target_of(self.info)

    def look(self) -> State:
        return look(self.cluster, self.info.namespace)

    def left(self, before: State, kind: str) -> list[str]:
        """What differs from ``before`` when all had time to become whole."""
        until_s = time.monotonic() + WHOLE_BOUND_S
        while True:
            found = [
                each
                for each in differences(before, self.look())
                if not each.startswith(LASTING.get(kind, ("no object",)))
            ]
            if not found or time.monotonic() > until_s:
                return found
            time.sleep(0.5)


def experiment_of(bench: Bench, fault: Mapping[str, Any]) -> dict[str, Any]:
    """One fault, as an experiment file has it."""
    when = {"service": SERVICE, "at": f"{AT_S}s", "duration": f"{LASTS_S}s"}
    whole = {**fault, **when}
    if fault["kind"] == "chaostoolkit":
        whole["configuration"] = {
            "shop": f"{bench.info.ingress_url}{PATH}",
            "host": bench.info.host,
        }
    return {
        "load": {"locustfile": SHOP, "stages": [{"duration": f"{LOAD_S}s", "users": USERS}]},
        "faults": [whole],
        "objectives": ["errors < 99%"],
    }


def by_seatrial(bench: Bench, label: str, number: int) -> Way:
    """The fault in a run; what its evaluation says of it."""
    parts = experiment_of(bench, KINDS[label])
    before = bench.look()
    name = bench.place.experiment(f"kind-{number}", **parts)
    ending = seatrial(
        bench.place, "run", name, "--sandbox-name", bench.info.name, "--ignore-alerts"
    )
    way = Way()
    if ending.run is None or not (ending.folder.path / "evaluation.json").exists():
        way.trouble = f"exit code {ending.code}: {ending.err[-800:]}"
        return way
    found = verdicts(ending.evaluation)
    record = ending.folder.recording().faults[0]
    written = {effect.what for effect in record.effects}
    kind = KINDS[label]["kind"]
    way.injected = found.get("fault-injected") == "pass"
    way.verified = way.injected and (bool(written & {"verified", "replaced"}))
    way.seen = found.get("fault-seen") == "pass" or kind in UNSEEN
    way.undone = not ending.unhealed and ("removed" in written or kind in BY_ITSELF)
    way.gone = found.get("fault-gone") in ("pass", "warn")
    way.differences = bench.left(before, kind)
    if ending.code == 5:
        way.trouble = ending.err[-800:]
    elif not (way.injected and way.seen and way.gone):
        way.trouble = "; ".join(
            f"{finding.check} {finding.verdict.value}: {finding.reason}"
            for finding in ending.evaluation.findings
            if finding.check.startswith("fault-") and finding.verdict.value != "pass"
        )
    return way


def verdicts(evaluation: Evaluation) -> dict[str, str]:
    """Check to verdict, of the findings about the one fault."""
    return {finding.check: finding.verdict.value for finding in evaluation.findings}


def planned(bench: Bench, fault: Mapping[str, Any]) -> PlannedFault:
    parts = experiment_of(bench, fault)
    return make_plan(
        Experiment.model_validate({"name": "kinds", "description": "Each kind?", **parts})
    ).faults[0]


def by_chaos_run(bench: Bench, label: str, folder: Path) -> Way:
    """The compiled experiment by Chaos Toolkit's own command line."""
    folder.mkdir()
    fault, before, way = planned(bench, KINDS[label]), bench.look(), Way()
    starts_s = time.time() + AT_S
    experiment = compile_fault(fault, bench.target, f"kinds-{folder.name}", starts_s)
    (folder / "experiment.json").write_text(to_json(experiment), encoding="utf-8")
    for command in ("validate", "run"):
        with traffic(bench.info) as hits:
            code, text = chaos(command, bench, folder)
        if code != 0:
            way.trouble += f"chaos {command} ended with {code}: {text[-1200:]} "
    effects = folder / "effects.jsonl"
    lines = effects.read_text(encoding="utf-8").splitlines() if effects.exists() else []
    written = {json.loads(line)["what"] for line in lines}
    kind = KINDS[label]["kind"]
    way.injected = bool(written & {"injected", "killed"})
    way.verified = bool(written & {"verified", "replaced"})
    noticed = written & {"seen", "replaced", "evicted"}
    way.seen = bool(noticed) or _stand_out(hits, starts_s)
    way.seen = way.seen or kind in UNSEEN or (kind == "cordon" and way.verified)
    way.undone = "removed" in written or (kind in BY_ITSELF and "ready" in written)
    way.gone = "gone" in written or (kind in BY_ITSELF and "ready" in written)
    with contextlib.suppress(OSError, ValueError):
        journal = json.loads((folder / "journal.json").read_text(encoding="utf-8"))
        if journal["status"] != "completed" or journal["deviated"]:
            way.trouble += f"journal: {journal['status']}, deviated {journal['deviated']}"
    way.differences = bench.left(before, kind)
    return way


def _stand_out(hits: Sequence[float], starts_s: float) -> bool:
    """Whether requests fared badly in the time of the fault, and hardly ever outside of it."""
    inside = sum(starts_s <= at_s <= starts_s + LASTS_S + 1 for at_s in hits)
    return inside >= FEWEST_HITS and len(hits) - inside <= inside / FEWEST_HITS


def chaos(command: str, bench: Bench, folder: Path) -> tuple[int, str]:
    """Exit code and output of ``chaos validate`` or ``chaos run``."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(bench.info.kubeconfig),
        "SEATRIAL_EFFECTS": str(folder / "effects.jsonl"),
    }
    journal = ("--journal-path", "journal.json") if command == "run" else ()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "chaostoolkit", "--no-version-check", "--no-log-file"),
            *(command, *journal, "experiment.json"),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_BOUND_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def traffic(info: control.SandboxInfo) -> Iterator[list[float]]:
    """Some requests a second to the service; the Unix times of those that fared badly."""
    hits: list[float] = []
    over = threading.Event()
    url, headers = f"{info.ingress_url}{PATH}", {"Host": info.host}

    def ask() -> None:
        while not over.wait(0.05):
            at_s = time.time()
            try:
                status = requests.get(url, headers=headers, timeout=5).status_code
            except requests.RequestException:
                status = 0
            if status != 200 or time.time() - at_s > SLOW_S:
                hits.append(at_s)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield hits
    finally:
        over.set()
        for thread in threads:
            thread.join()


def table(ways: Mapping[str, Sequence[Way]]) -> str:
    """Lines of a Markdown table: each kind with both ways."""
    head = ("Kind", "By", "injected", "verified", "seen", "undone", "verified gone", "as before")
    lines = [head, ("---",) * len(head)]
    for label, pair in ways.items():
        for name, way in zip(("seatrial run", "chaos run"), pair, strict=True):
            seen = "-" if KINDS[label]["kind"] in UNSEEN else _mark(way.seen)
            cells = (_mark(way.injected), _mark(way.verified), seen, _mark(way.undone))
            lines.append((label, name, *cells, _mark(way.gone), _mark(not way.differences)))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _mark(good: bool) -> str:
    return "yes" if good else "NO"


def main() -> int:
    parser = argparse.ArgumentParser(description="Every kind of fault, on both ways.")
    parser.add_argument("--only", default="", help=f"some of: {', '.join(KINDS)}")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    labels = [k for k in KINDS if not given.only or k.split(",")[0] in given.only.split(",")]
    ways: dict[str, list[Way]] = {}
    with tempfile.TemporaryDirectory(prefix="seatrial-bench-") as folder:
        root = Path(folder) / "sandboxes"
        info = control.up("kinds", root=root, owner_pid=os.getpid(), options={"nodes": NODES})
        try:
            place = Place.make(Path(folder) / "runs", root)
            cluster = KubeCluster(str(info.kubeconfig), info.context)
            bench = Bench(info, cluster, place)
            for number, label in enumerate(labels, start=1):
                one = by_seatrial(bench, label, number)
                other = by_chaos_run(bench, label, Path(folder) / f"kind-{number}")
                ways[label] = [one, other]
                print(f"{label}: {one}\n{'':>12}{other}", flush=True)
        finally:
            control.down("kinds", root=root)
    print(f"\n{table(ways)}")
    if given.json:
        figures = {label: [asdict(way) for way in pair] for label, pair in ways.items()}
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0 if all(way.well for pair in ways.values() for way in pair) else 1


if __name__ == "__main__":
    sys.exit(main())
