"""How fast a number of replicas may change: stabilization, policies and bounds of an autoscaler.

The rules of ``spec.behavior`` and their defaults (documentation: "Horizontal Pod Autoscaling",
configurable scaling behavior; ``horizontal.go`` of Kubernetes 1.32). Pure but for
:class:`History`, which remembers one autoscaler's recommendations and changes. A number above or
below the bounds is brought back at once, past all rates, as in Kubernetes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

Object = Mapping[str, Any]

ABOVE_MAX: Final = "Current number of replicas above Spec.MaxReplicas"
BELOW_MIN: Final = "Current number of replicas below Spec.MinReplicas"
FASTER: Final = "the desired replica count is {} faster than the maximum scale rate"


class Policy(NamedTuple):
    """At most ``value`` (``Pods``, or ``Percent`` of the replicas) in ``period_s`` seconds."""

    type: str
    value: int
    period_s: float


class Rules(NamedTuple):
    """The rules of one direction.

    Attributes:
        window_s: Stabilization: the most cautious recommendation of that time counts.
        select: Which policy counts: ``Max`` (the largest change), ``Min`` or ``Disabled``.
        policies: How much may change in which time.
    """

    window_s: float
    select: str
    policies: tuple[Policy, ...]


UP: Final = Rules(0.0, "Max", (Policy("Pods", 4, 15.0), Policy("Percent", 100, 15.0)))
DOWN: Final = Rules(300.0, "Max", (Policy("Percent", 100, 15.0),))


@dataclass(slots=True)
class History:
    """What one autoscaler recommended and changed: Unix seconds and a number, oldest first.

    Attributes:
        recommendations: Numbers of replicas, before stabilization.
        ups: Replicas added.
        downs: Replicas taken away.
    """

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    ups: list[tuple[float, int]] = field(default_factory=list)
    downs: list[tuple[float, int]] = field(default_factory=list)

    def changed(self, before: int, after: int, now_s: float) -> None:
        """Remember a change that was made."""
        if after > before:
            self.ups.append((now_s, after - before))
        elif after < before:
            self.downs.append((now_s, before - after))

    def forget(self, before_s: float) -> None:
        """Drop what is older than any rule looks back."""
        for entries in (self.recommendations, self.ups, self.downs):
            entries[:] = [entry for entry in entries if entry[0] > before_s]


class Condition(NamedTuple):
    """A condition of an autoscaler's status, without its time."""

    type: str
    is_true: bool
    reason: str
    message: str


class Bounds(NamedTuple):
    """An autoscaler's fewest and most replicas, and its rules."""

    fewest: int
    most: int
    up: Rules = UP
    down: Rules = DOWN

    @property
    def memory_s(self) -> float:
        """How far back the rules look, in seconds."""
        periods = [policy.period_s for rules in (self.up, self.down) for policy in rules.policies]
        return max(self.up.window_s, self.down.window_s, *periods, 0.0)


def bounds_of(spec: Object) -> Bounds:
    """The bounds and rules of an autoscaler's spec; what it does not state has the defaults."""
    behavior = spec.get("behavior") or {}
    fewest = spec.get("minReplicas")
    return Bounds(
        1 if fewest is None else int(fewest),
        int(spec["maxReplicas"]),
        _rules(behavior.get("scaleUp") or {}, UP),
        _rules(behavior.get("scaleDown") or {}, DOWN),
    )


def _rules(stated: Object, default: Rules) -> Rules:
    window_s = stated.get("stabilizationWindowSeconds")
    policies = tuple(
        Policy(str(each["type"]), int(each["value"]), float(each["periodSeconds"]))
        for each in stated.get("policies") or ()
    )
    return Rules(
        default.window_s if window_s is None else float(window_s),
        str(stated.get("selectPolicy") or default.select),
        policies or default.policies,
    )


def forced(current: int, bounds: Bounds) -> tuple[int, str] | None:
    """The number and the reason when ``current`` is out of bounds and metrics do not matter."""
    if current > bounds.most:
        return bounds.most, ABOVE_MAX
    if current < bounds.fewest:
        return bounds.fewest, BELOW_MIN
    return None


def settle(
    current: int, proposed: int, bounds: Bounds, history: History, now_s: float
) -> tuple[int, tuple[Condition, Condition]]:
    """The number that may be asked for now, and the conditions AbleToScale and ScalingLimited.

    Args:
        current: Replicas that the workload is asked to have.
        proposed: What the metrics ask for.
        bounds: Bounds and rules.
        history: What happened so far; ``proposed`` is added to it.
        now_s: Unix seconds.
    """
    if not history.recommendations:
        # A controller that has just begun does not take away what was there before it.
        history.recommendations.append((now_s, current))
    stable = _stabilized(current, proposed, bounds, history.recommendations, now_s)
    history.recommendations.append((now_s, proposed))
    able = _able(current, proposed, stable)
    allowed, reason, message = _limited(current, stable, bounds, history, now_s)
    limited = Condition("ScalingLimited", allowed != stable, reason, message)
    history.forget(now_s - bounds.memory_s)
    return allowed, (able, limited)


def _able(current: int, proposed: int, stable: int) -> Condition:
    if stable == proposed:
        text = "recommended size matches current size"
        return Condition("AbleToScale", True, "ReadyForNewScale", text)
    way, than, chosen = (
        ("Up", "lower", "lowest") if proposed >= current else ("Down", "higher", "highest")
    )
    text = f"recent recommendations were {than} than current one"
    text += f", applying the {chosen} recent recommendation"
    return Condition("AbleToScale", True, f"Scale{way}Stabilized", text)


def _stabilized(
    current: int,
    proposed: int,
    bounds: Bounds,
    recommendations: Sequence[tuple[float, int]],
    now_s: float,
) -> int:
    def recent(window_s: float) -> list[int]:
        return [number for at_s, number in recommendations if at_s > now_s - window_s]

    lower = min([proposed, *recent(bounds.up.window_s)])
    upper = max([proposed, *recent(bounds.down.window_s)])
    return min(max(current, lower), upper)


def _limited(
    current: int, wanted: int, bounds: Bounds, history: History, now_s: float
) -> tuple[int, str, str]:
    """The number within rates and bounds, and the reason and message of ScalingLimited."""
    if wanted > current:
        rate = max(current, up_limit(current, bounds.up, history, now_s))
        if bounds.most > rate:
            limit, reason, text = rate, "ScaleUpLimit", FASTER.format("increasing")
        else:
            limit, reason = bounds.most, "TooManyReplicas"
            text = "the desired replica count is more than the maximum replica count"
        if wanted > limit:
            return limit, reason, text
    elif wanted < current:
        rate = min(current, down_limit(current, bounds.down, history, now_s))
        if bounds.fewest < rate:
            limit, reason, text = rate, "ScaleDownLimit", FASTER.format("decreasing")
        else:
            limit, reason = bounds.fewest, "TooFewReplicas"
            text = "the desired replica count is less than the minimum replica count"
        if wanted < limit:
            return limit, reason, text
    return wanted, "DesiredWithinRange", "the desired count is within the acceptable range"


def up_limit(current: int, rules: Rules, history: History, now_s: float) -> int:
    """The most replicas that the policies of scaling up allow now."""
    if rules.select == "Disabled":
        return current
    numbers = []
    for policy in rules.policies:
        begun = _at_start(current, policy, history, now_s)
        if policy.type == "Pods":
            numbers.append(begun + policy.value)
        else:  # rounded up: else a small share of a small number could never grow
            numbers.append(math.ceil(begun * (1 + policy.value / 100)))
    return min(numbers) if rules.select == "Min" else max(numbers)


def down_limit(current: int, rules: Rules, history: History, now_s: float) -> int:
    """The fewest replicas that the policies of scaling down allow now."""
    if rules.select == "Disabled":
        return current
    numbers = []
    for policy in rules.policies:
        begun = _at_start(current, policy, history, now_s)
        if policy.type == "Pods":
            numbers.append(begun - policy.value)
        else:
            numbers.append(int(begun * (1 - policy.value / 100)))
    return max(numbers) if rules.select == "Min" else min(numbers)


def _at_start(current: int, policy: Policy, history: History, now_s: float) -> int:
    """The replicas at the beginning of a policy's period that ends now."""

    def within(entries: Sequence[tuple[float, int]]) -> int:
        return sum(number for at_s, number in entries if at_s > now_s - policy.period_s)

    return current - within(history.ups) + within(history.downs)
