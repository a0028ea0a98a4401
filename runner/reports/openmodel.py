"""The open model in words: what its latencies and its counters mean. The same in every report."""

from __future__ import annotations

from runner.model.plan import Plan
from runner.model.shape import Model
from runner.reports import format as fmt

RESPONSE_TIME = (
    "Latency, as the load sees it, is the response time: it counts from the moment at which a "
    "request was due, as a customer feels it."
)
SERVICE_TIME = (
    "Service time counts from the moment at which the request was sent. Where it is much shorter, "
    "requests had to wait before they were sent, because all users were busy with earlier ones."
)


class OpenModel(Model):
    """What a reader of a run with arrivals must know, in sentences."""

    response_time: str
    service_time: str
    pool: str


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


def open_model(plan: Plan) -> OpenModel | None:
    """The sentences for ``plan``; None in the closed model."""
    if not plan.experiment.load.is_open:
        return None
    return OpenModel(
        response_time=RESPONSE_TIME, service_time=SERVICE_TIME, pool=pool_sentence(plan)
    )
