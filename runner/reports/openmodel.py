"""The open model in words: what its latencies and its counters mean. The same in every report."""

from __future__ import annotations

from runner.model.plan import Plan
from runner.reports import format as fmt

RESPONSE_TIME = (
    "Latency is the response time: it counts from the moment at which a request was due, as "
    "somebody who comes at that moment feels it."
)
SERVICE_TIME = (
    "Service time counts from the moment at which the request was sent. Where it is much shorter, "
    "requests had to wait before they were sent, because all users were busy with earlier ones."
)
IN_FLIGHT = (
    "An arrival waits when all users are busy, and is dropped when none comes free in time. In "
    "flight is what was started and is not completed."
)


def pool_sentence(plan: Plan) -> str:
    """How many requests may be under way, and what becomes of those beyond it."""
    wait_s = plan.experiment.load.max_wait
    beyond = f"waits for at most {fmt.span(wait_s)} (max_wait) and is then dropped"
    if not wait_s:
        beyond = "is dropped (max_wait: 0s)"
    return (
        f"At most {plan.max_in_flight:,} arrivals are in flight (max_in_flight); one that finds no "
        f"user free {beyond}."
    )
