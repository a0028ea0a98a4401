"""What a process of the generator says of each second, to itself or to Locust's master. Pure.

A report is a plain value, and a message of plain lists and numbers, so that it can travel over
Locust's own connection between workers and master.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from runner.load.recorder import Batch, Tally

WORKER_VARIABLE = "SEATRIAL_WORKER"
"""Variable of the environment that tells a worker of this machine its number."""

REPORT_MESSAGE = "seatrial_report"
DONE_MESSAGE = "seatrial_done"
PLAN_MESSAGE = "seatrial_plan"
SHARE_MESSAGE = "seatrial_share"
LINE_MESSAGE = "seatrial_line"
WISH_MESSAGE = "seatrial_wish"
READY_MESSAGE = "seatrial_ready"
GO_MESSAGE = "seatrial_go"
DROP_MESSAGE = "seatrial_drop"
FINISH_MESSAGE = "seatrial_finish"
STOP_MESSAGE = "seatrial_stop"

MASTER_SILENCE_S = 5.0
"""A worker that hears nothing from its master for this long ends its load."""

STALL_S = 1.0
"""Who slept for so much longer than he wanted to has heard nobody, and blames nobody."""


@dataclass(frozen=True, slots=True)
class Report:
    """The state of one process up to a second, and what it recorded since its last report.

    Attributes:
        upto_second: Everything of earlier seconds that is known is in this report or before it.
        users: Running users.
        busy: Arrivals under way, in the open model.
        cpu_ratio, lag_s, rss_bytes: See ``runner.model.recording.GeneratorSecond``.
        notes: Sentences that a reader of the record must know.
        wanted: Users that the locustfile's own shape wants; None without one.
    """

    upto_second: int
    users: int
    batch: Batch = field(default_factory=Batch)
    busy: int = 0
    cpu_ratio: float | None = None
    lag_s: float = 0.0
    rss_bytes: int = 0
    notes: tuple[str, ...] = ()
    wanted: int | None = None


def to_message(report: Report) -> dict[str, Any]:
    """``report`` as what Locust can send."""
    batch = report.batch
    return {
        "upto_second": report.upto_second,
        "users": report.users,
        "busy": report.busy,
        "cpu_ratio": report.cpu_ratio,
        "lag_s": report.lag_s,
        "rss_bytes": report.rss_bytes,
        "notes": list(report.notes),
        "wanted": report.wanted,
        "rows": _flat(batch.rows),
        "service": _flat(batch.service),
        "failures": [[*key, count] for key, count in batch.failures.items()],
        "dropped": batch.dropped,
        "overflowed": batch.overflowed,
        "arrivals": [
            [second, {**asdict(tally), "late_us": list(tally.late_us.items())}]
            for second, tally in batch.arrivals.items()
        ],
    }


def from_message(message: dict[str, Any]) -> Report:
    """The report that ``message`` carries.

    Raises:
        KeyError, TypeError, ValueError: When it carries none.
    """
    batch = Batch(
        rows=_rows(message["rows"]),
        failures={
            (endpoint, outcome, text): count
            for endpoint, outcome, text, count in message["failures"]
        },
        dropped=message["dropped"],
        service=_rows(message["service"]),
        arrivals={
            second: Tally(**{**tally, "late_us": dict(tally["late_us"])})
            for second, tally in message["arrivals"]
        },
        overflowed=message["overflowed"],
    )
    names = ("upto_second", "users", "busy", "cpu_ratio", "lag_s", "rss_bytes", "wanted")
    known = {name: message[name] for name in names}
    return Report(batch=batch, notes=tuple(message["notes"]), **known)


def _flat(rows: dict[tuple[int, str, str], dict[int, int]]) -> list[list[Any]]:
    return [[*key, list(counts.items())] for key, counts in rows.items()]


def _rows(flat: list[list[Any]]) -> dict[tuple[int, str, str], dict[int, int]]:
    return {(second, endpoint, outcome): dict(counts) for second, endpoint, outcome, counts in flat}
