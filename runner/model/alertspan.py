"""A time in which an alert was pending or firing. Pure data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runner.model.shape import Model


class AlertSpan(Model):
    """A time in which one alert was pending or firing, as Prometheus' series ``ALERTS`` has it.

    Attributes:
        name: Its ``alertname``.
        severity: Its label ``severity``; empty without one.
        labels: Its other labels.
        start_s: Offset at which it was first seen so; negative when it was so before the load.
        end_s: Offset at which it was last seen so.
    """

    name: str
    severity: str = ""
    state: Literal["pending", "firing"]
    labels: dict[str, str] = Field(default_factory=dict)
    start_s: float
    end_s: float
