"""PodDisruptionBudgets, as data: do they allow that these pods go? Pure.

A kill does not ask them, as a crash would not; but whoever wrote one said how many pods his service
can spare, and a test should not be the one to break that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.chaos.objects import Object


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a Kubernetes label selector matches ``labels``; None matches nothing, {} all."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_meets(rule, labels) for rule in selector.get("matchExpressions") or ())


def _meets(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = rule.get("key", ""), rule.get("values") or ()
    match rule.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def refusals(budgets: Iterable[Object], pods: Sequence[Object]) -> list[str]:
    """A sentence for each budget that does not allow all of ``pods`` to go now.

    A budget without a status allows nothing: nobody has counted yet.
    """
    sentences = []
    for budget in budgets:
        selector = (budget.get("spec") or {}).get("selector")
        hit = sum(selects(selector, pod["metadata"].get("labels") or {}) for pod in pods)
        allowed = int((budget.get("status") or {}).get("disruptionsAllowed") or 0)
        if hit > allowed:
            name = budget["metadata"]["name"]
            sentences.append(f"poddisruptionbudget/{name} allows {allowed} pods to go, not {hit}")
    return sentences
