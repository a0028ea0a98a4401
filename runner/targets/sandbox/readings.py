"""What pods used lately, from samples of their processes: the autoscaler's metrics server.

Pure but for the memory of the last samples. Kubernetes' metrics server takes a sample every 15 s
and knows the usage between the last two; here samples come more often, and the usage is that over
the same length of time, or over the time since the pod became ready when that is shorter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from runner.targets.sandbox.exporter_families import Usage
from runner.targets.sandbox.scaling import Reading

# A figure over less than this share of the window says too little.
LEAST_SHARE: Final = 0.5


class _Sample(NamedTuple):
    at_s: float
    usage: Usage


class Readings:
    """Samples by pod uid, as far back as the window.

    Args:
        window_s: Over how many seconds CPU usage is taken.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._samples: dict[str, deque[_Sample]] = {}

    def take(self, usage: Mapping[str, Usage], now_s: float) -> None:
        """Add a sample of every pod. One without is forgotten, a restarted one begins anew."""
        known, self._samples = self._samples, {}
        for uid, used in usage.items():
            samples = known.get(uid)
            if samples is None or samples[-1].usage.started_s != used.started_s:
                samples = deque()
            samples.append(_Sample(now_s, used))
            while len(samples) > 2 and samples[1].at_s <= now_s - self._window_s:
                samples.popleft()
            self._samples[uid] = samples

    def of(self, resource: str, ready_since: Mapping[str, float]) -> dict[str, Reading]:
        """The usage of ``cpu`` or ``memory`` by pod uid; pods with too few samples have none.

        Args:
            resource: Which of the two.
            ready_since: Since when pods are ready, Unix seconds by uid: their start is left out
                as soon as enough has been seen since.
        """
        found: dict[str, Reading] = {}
        for uid, samples in self._samples.items():
            last = samples[-1]
            if resource == "memory":
                found[uid] = Reading(last.usage.resident_bytes * 1000, last.at_s, 0.0)
                continue
            least_s = self._window_s * LEAST_SHARE
            since_s = ready_since.get(uid, 0.0)
            first = next((each for each in samples if each.at_s >= since_s), last)
            if last.at_s - first.at_s < least_s:
                first = samples[0]
            span_s = last.at_s - first.at_s
            if span_s >= least_s:
                used_s = last.usage.cpu_s - first.usage.cpu_s
                found[uid] = Reading(round(used_s / span_s * 1000), last.at_s, span_s)
        return found
