"""Label selectors as text."""

from __future__ import annotations

import pytest

from runner.model.labels import matches, selector_text

LABELS = {"app": "order-api", "tier": "web"}


@pytest.mark.parametrize(
    ("selector", "met"),
    [
        ("", True),
        ("app=order-api", True),
        ("app==order-api", True),
        ("app = order-api , tier=web", True),
        ("app=order-api,tier=db", False),
        ("app!=order-api", False),
        ("zone!=a", True),
        ("tier", True),
        ("zone", False),
        ("!zone", True),
        ("!tier", False),
    ],
)
def test_a_selector_is_met_or_not(selector: str, met: bool) -> None:
    assert matches(selector, LABELS) is met


def test_labels_become_a_selector_that_they_meet() -> None:
    labels = {"tier": "web", "app": "x"}
    assert selector_text(labels) == "app=x,tier=web"
    assert matches(selector_text(labels), labels)
    assert selector_text({}) == ""
