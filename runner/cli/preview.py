"""``run --dry-run`` and ``plan --target``: what a run would do to a target as it is now."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from runner.catalog import TargetChoice, preview_plan
from runner.cli.confirmation import needs_confirmation
from runner.cli.doubts import as_records, doubts_of, say_doubts
from runner.cli.options import print_json
from runner.cli.tables import console, make_table, safe, safe_lines
from runner.cli.timeline import print_plan
from runner.errors import ExitCode
from runner.model.plan import Plan
from runner.model.preview import FaultPreview, ObjectPreview, PodPreview, Preview
from runner.reports import format as fmt
from runner.reports.deeds import deed
from runner.source import Source, locustfile_folders

MOST_MOMENTS = 12
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_DEEDS = {"create": "made", "replace": "changed", "delete": "deleted", "evict": "evicted"}


def show_preview(source: Source, plan: Plan, choice: TargetChoice, output: str) -> int:
    """The plan, and what it would do to the target; the exit code says whether it may begin.

    A sandbox that is not up is told, and is no failure: then only the plan is shown.
    """
    preview = preview_plan(choice, plan, locustfile_folders(source.path))
    if context := needs_confirmation(choice):
        told = f"it looks like production: a run needs --confirm-production {context}"
        preview = preview.model_copy(update={"notes": (*preview.notes, told)})
    doubts = doubts_of(source, plan)
    if output == "json":
        record = plan.model_dump(mode="json", by_alias=True)
        print_json({**record, "warnings": as_records(doubts), "preview": _as_json(preview)})
    else:
        print_plan(plan)
        print_preview(preview, plan)
        say_doubts(source.path, doubts)
    return ExitCode.PASS if may_begin(preview) else ExitCode.INCONCLUSIVE


def may_begin(preview: Preview) -> bool:
    """Whether nothing is known that would keep a run, or a fault of it, from beginning."""
    return not preview.refusals and not any(fault.problem for fault in preview.faults)


def _as_json(preview: Preview) -> dict[str, Any]:
    return preview.model_dump(mode="json")


def print_preview(preview: Preview, plan: Plan) -> None:
    """What a run would do now, on standard output."""
    out = console()
    if preview.why_not:
        out.print(safe(f"No preview: {preview.why_not}", "yellow"))
        return
    out.print(
        safe(
            f"On {preview.target}, namespace {preview.namespace}: each fault, if it began now",
            "bold",
        ),
        end="\n\n",
    )
    deeds = {fault.id: deed(fault.fault) for fault in plan.faults}
    for fault in preview.faults:
        _print_fault(fault, deeds[fault.id])
    for note in preview.notes:
        out.print(safe(f"! {note}", "yellow"))
    for refusal in preview.refusals:
        out.print(safe(f"✗ {refusal}", "red"))
    if preview.role:
        out.print("\nThis Role would grant what is missing:\n")
        out.print(safe_text(preview.role), end="\n\n")
    if may_begin(preview):
        out.print(safe("Nothing known stands against a run. Nothing was touched.", "green"))
    elif preview.refusals:
        out.print(safe("A run would be refused. Nothing was touched.", "bold red"))
    else:
        out.print(safe("A run would fail. Nothing was touched.", "bold red"))


def _print_fault(fault: FaultPreview, what: str) -> None:
    out = console()
    out.print(Text.assemble((fault.id, "bold"), ": ", safe(what)))
    if fault.problem:
        out.print(safe(f"✗ would not be injected: {fault.problem}", "red"))
    for note in fault.notes:
        out.print(safe(f"! {note}", "yellow"))
    if len(fault.moments_s) > 1:
        out.print(safe(f"Kills at {_moments(fault.moments_s)}; pods are drawn anew each time."))
    chosen = sum(pod.chosen for pod in fault.pods)
    if chosen:
        title = f"→ {chosen} of {len(fault.pods)} pods, drawn with seed {fault.seed}"
        out.print(_pods(fault.pods, title))
    for change in fault.changes:
        _print_change(change)
    out.print()


def _moments(moments: tuple[float, ...]) -> str:
    shown = ", ".join(map(_moment, moments[:MOST_MOMENTS]))
    more = len(moments) - MOST_MOMENTS
    return f"{shown} and {more} more times" if more > 0 else shown


def _moment(offset_s: float) -> str:
    """``05:21.5``: jitter is less than a second, where kills follow each other fast."""
    tenths = int(offset_s * 10) % 10
    return fmt.clock_offset(offset_s) + (f".{tenths}" if tenths else "")


def _pods(pods: tuple[PodPreview, ...], title: str) -> Any:
    table = make_table("", "Pod", "Ready", "Node", "UID", title=title)
    table.columns[1].no_wrap = True
    for pod in pods:
        table.add_row(
            safe("→" if pod.chosen else "", "bold yellow"),
            safe(pod.name, "bold" if pod.chosen else ""),
            safe("yes" if pod.ready else "no", "" if pod.ready else "yellow"),
            safe(pod.node or fmt.NOTHING),
            safe(pod.uid),
        )
    return table


def _print_change(change: ObjectPreview) -> None:
    out = console()
    if not change.diff:
        out.print(safe(f"{change.subject} would be {_DEEDS[change.deed]}"))
        return
    for line in change.diff.splitlines():
        out.print(safe(line, _DIFF_STYLES.get(line[:1], "")), soft_wrap=True)


def safe_text(text: str) -> Text:
    """Several lines, none of which can do anything to the terminal."""
    return safe_lines(text.rstrip("\n").split("\n"))
