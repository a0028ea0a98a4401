"""A run in which every name that comes from outside means harm; and what it must not do."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from voyages import SERVICES, Voyage, write_run
from weathers import SHOP

from runner.store import RunDir

TEXTS = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "'\" onmouseover=alert(1) x='",
    "`<b>`code`",
    "\x1b[2J\x1b[31mred\x07",
    "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "a\x00b\x9b31mc",
    "one\r\ntwo\n\n# three\n::error::four\n##[error]five",
    "::set-output name=verdict::pass",
    "%0A::warning::x %25",
    "]]><!--x--><?php ?>",
    "{{7*7}}{% raw %}${7*7}",
    "| a | b |",
    "@team @all <!channel> #12",
    "=cmd|'/c calc'!A1",
    "+1+1",
    "-2+3",
    "../../../../etc/passwd",
    "..",
    "/etc/passwd",
    "C:\\x\\..\\y",
    "\u202egnp.exe\u2066\u200f\u061c",
    "a\u200bb\u200d\ufeff",
    "\ud800 half \udfff",
    "\u2028line\u2029para",
    "x" * 10_000,
    "e\u0301" * 300,
    "&lt;b&gt;&#60;i&#62;",
    "[x](javascript:alert(1)) ![y](http://evil.example/y)",
    "<svg onload=alert(1)><style>*{}</style>",
    "$x^2$ \\frac{1}{2} $_",
    " ",
    "javascript:alert(1)",
    "<!-- seatrial: x --> </details><details>",
    "[red]rich[/red] :skull:",
    "\t\v\f\x08\x7f",
)
RULE = "Alert <i>'x'</i>"


def texts() -> itertools.cycle[str]:
    return itertools.cycle(TEXTS)


def hostile_run(root: Path) -> RunDir:
    """A run below ``root``, not judged yet, that says :data:`TEXTS` wherever text can stand."""
    new = texts()
    names = {name: f"{next(new)}{at}" for at, name in enumerate(SHOP)}
    patterns = [f"{text}{at}"[:400] for at, text in enumerate(TEXTS) if text.isprintable()]
    one = next(iter(names.values()))
    objectives: list[Any] = [
        *({"objective": "errors < 5%", "of": of} for of in (one, *patterns[:4])),
        {"objective": "errors < 1%", "of": "the <b>group</b> | @all"},
        {"objective": "latency.p95 < 300ms", "service": "<script>x</script>"},
        {"objective": "latency.p95 < 300ms", "service": "*"},
        "signal.own_queue < 5",
        "errors < 50%",
    ]
    voyage = Voyage(
        length_s=40,
        users=10,
        names=names,
        services=tuple(f"{next(new)}-{service}" for service in SERVICES[:3]),
        failure_text="".join(TEXTS[:8]),
        description="".join(text for text in TEXTS if not _half(text)),
        objectives=tuple(objectives),
        state="failed",
        reason="".join(text for text in TEXTS if not _half(text)),
    )
    run = write_run(root, voyage, evaluated=False)
    _change(run.manifest_path, _manifest)
    _change(run.signals_path, _signals)
    _change(run.plan_path, _plan)
    _extend(run)
    return run


def _half(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def _whole() -> itertools.cycle[str]:
    return itertools.cycle([text for text in TEXTS if not _half(text)])


def _change(path: Path, how: Any) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    how(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def _plan(data: dict[str, Any]) -> None:
    new = _whole()
    experiment = data["experiment"]
    experiment["groups"] = {"the <b>group</b> | @all": [next(new), "*"]}
    experiment["signals"] = {
        "own_queue": {"promql": 'max(x{a="<script>"})', "description": "<b>|\x1b[31m@all" * 8}
    }
    data["generator"]["arguments"] = [f"--tags={next(new)}" for _ in range(20)]


def _manifest(data: dict[str, Any]) -> None:
    new = _whole()
    data["argv"] = ["seatrial", "run", *(next(new) for _ in TEXTS)]
    data["versions"] = {next(new): next(new) for _ in range(12)}
    data["host"] = {next(new): next(new) for _ in range(12)}
    data["git_revision"] = next(new)
    for key in ("name", "namespace", "ingress_url", "host", "prometheus_url", "context"):
        data["target"][key] = next(new)
    data["target"]["identity"] = next(new)
    data["target"]["parts"] = {next(new): next(new) for _ in range(12)}


def _signals(data: dict[str, Any]) -> None:
    new = _whole()
    for one in (*data["series"], *data["phases"]):
        one["message"], one["query"] = next(new), next(new)
        one["warnings"] = [next(new)]
    own = dict(data["phases"][0]) | {"sli": "signal.own_queue", "service": "", "unit": "count"}
    data["phases"] += [own | {"phase": at, "value": 9.0} for at in range(4)]
    data["alerts"] = [
        {"name": next(new), "severity": next(new), "state": "firing", "start_s": 1.0 + at}
        | {"end_s": 20.0 + at, "labels": {next(new): next(new)}}
        for at in range(len(TEXTS))
    ]
    data["alerts_missing"] = ""
    data["rules"] = [next(new) for _ in TEXTS]
    data["rule_severities"] = {RULE: [next(new)]}
    data["broken_rules"] = {RULE: next(new)}
    data["scrape_gaps"] = [next(new) for _ in TEXTS]


def _extend(run: RunDir) -> None:
    """Notes, workers and failures in the record; words in the journal and of the faults."""
    new = texts()
    with (run.load_dir / "seconds.jsonl").open("a", encoding="utf-8") as out:
        for text in TEXTS:
            failures = [[text, "http_5xx", next(new), 3], [text, next(new)[:40], next(new), 2]]
            for line in (
                {"kind": "note", "text": text},
                {"kind": "worker", "second": 3, "worker": text, "what": "lost"},
                {"kind": "failures", "failures": failures, "dropped": 0},
            ):
                out.write(json.dumps(line) + "\n")
    whole = _whole()
    with run.events_path.open("a", encoding="utf-8") as out:
        for _ in TEXTS:
            words = {"source": next(whole), "action": next(whole), "detail": next(whole)}
            out.write(json.dumps({"wall_s": 1767225610.0, "kind": "note", **words}) + "\n")
    for fault in run.read_plan().faults:
        folder = run.fault_dir(fault.id)
        with (folder / "effects.jsonl").open("a", encoding="utf-8") as out:
            for _ in TEXTS:
                words = {"what": "skipped", "subject": next(whole), "detail": next(whole)}
                out.write(json.dumps({"wall_s": 1767225620.0, **words}) + "\n")
