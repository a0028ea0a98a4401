"""Which alerts fire before a run: who is fighting a fire needs no fault. One bounded question."""

from __future__ import annotations

from dataclasses import dataclass

from runner.errors import SignalError
from runner.model.recording import TargetInfo
from runner.model.target import Rules
from runner.targets.reachability import prometheus_says

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Firing:
    """What Prometheus said.

    Attributes:
        alerts: Names of the alerts that fire, each with how many series.
        problem: Why nobody knows; empty when it answered.
    """

    alerts: tuple[tuple[str, int], ...] = ()
    problem: str = ""

    @property
    def text(self) -> str:
        """``2 alerts fire: HighErrorRate, PodsMissing (3 series)``."""
        shown = [f"{name} ({n} series)" if n > 1 else name for name, n in self.alerts[:SHOWN]]
        more = len(self.alerts) - len(shown)
        which = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
        return f"{len(self.alerts)} alert{'s fire' if len(self.alerts) > 1 else ' fires'}: {which}"


def query_for(namespace: str, selector: str) -> str:
    """PromQL for the alerts that fire in ``namespace``, or are not about any namespace."""
    matchers = ", ".join(filter(None, ('alertstate="firing"', selector.strip().strip(","))))
    return f'count by (alertname) (ALERTS{{{matchers}, namespace=~"|{namespace}"}})'


def firing(target: TargetInfo, selector: str) -> Firing:
    """The alerts that fire now. A Prometheus without alerts has none that fires."""
    try:
        answer = prometheus_says(target, query_for(target.namespace, selector))
        series = [
            (str(one["metric"].get("alertname", "?")), int(float(one["value"][1])))
            for one in answer["result"]
        ]
    except SignalError as error:
        return Firing(problem=error.message)
    except OSError as error:
        return Firing(problem=str(error))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Firing(problem=f"{type(error).__name__}: {error}")
    return Firing(alerts=tuple(sorted(series)))


def alert_findings(
    target: TargetInfo, rules: Rules, *, ignored: bool = False
) -> tuple[list[str], list[str]]:
    """Reasons not to begin, and warnings; both empty when nothing fires (or nobody wants to know).

    Args:
        target: Whose Prometheus is asked.
        rules: Whether alerts are a reason not to begin, and which of them count.
        ignored: Whether this run goes on in spite of them: then they are told.
    """
    # The sandbox is there to be broken: what fires is of the run before.
    then = rules.alerts or ("warn" if target.kind == "sandbox" else "refuse")
    if then == "ignore":
        return [], []
    found = firing(target, rules.alert_selector)
    if not found.alerts and not found.problem:
        return [], []
    which = f"Prometheus' ALERTS with {rules.alert_selector or 'any labels'}"
    sentence = found.text
    if found.problem:
        sentence = f"nobody knows whether alerts fire: {which} could not be asked ({found.problem})"
    if then == "warn" or ignored:
        return [], [sentence]
    return [f"{sentence}; to begin all the same: --ignore-alerts"], []
