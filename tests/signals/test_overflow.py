"""Requests that a full connection pool refused, out of the mesh's own flags."""

from __future__ import annotations

import pytest
from history import requests_of

from runner.errors import SignalError
from runner.model.plan import Phase
from runner.model.recording import PhaseSignal
from runner.signals.counters import key_of
from runner.signals.figures import PhaseWindow
from runner.signals.growth import Growth
from runner.signals.phases import Counted, mesh_signals
from runner.signals.queries import ISTIO

WINDOW = PhaseWindow(Phase(index=3, name="baseline", start_s=0, end_s=10), 100.0, 110.0)


def overflow(requests: Growth | SignalError, service: str = "order-api") -> PhaseSignal:
    """The figure of ``service``."""
    seen = Counted(WINDOW, requests, Growth(""), Growth(""))
    (found,) = [
        one
        for one in mesh_signals(ISTIO, seen, ["order-api", "cart-api"], ())
        if (one.sli, one.service) == ("overflow", service)
    ]
    return found


@pytest.mark.parametrize(
    ("flags", "refused"),
    [("UO", 7.0), ("UO,URX", 7.0), ("URX,UO", 7.0), ("-", 0.0), ("FI", 0.0), ("UOX", 0.0)],
)
def test_only_overflow_counts(flags: str, refused: float) -> None:
    """7 requests with ``flags`` beside 93 that went well."""
    values = {
        key_of(requests_of("gateway", "order-api", "503", flags)): 7.0,
        key_of(requests_of("gateway", "order-api", "200")): 93.0,
        key_of(requests_of("gateway", "payment-api", "503", "UO")): 5.0,
    }
    found = overflow(Growth("q", values))
    assert (found.value, found.samples, found.unit, found.phase) == (refused, 100.0, "count", 3)


def test_service_that_the_mesh_does_not_know_has_no_count() -> None:
    """No series is not 0 refusals."""
    values = {key_of(requests_of("gateway", "order-api", "200")): 93.0}
    found = overflow(Growth("q", values), "cart-api")
    assert (found.value, found.state) == (None, "empty")


def test_refused_question_is_an_error() -> None:
    """What Prometheus would not answer is not 0 either."""
    found = overflow(SignalError("too many samples"))
    assert (found.value, found.state, found.message) == (None, "error", "too many samples")
