"""Label and field selectors, in kubectl's writing and as objects."""

from __future__ import annotations

from typing import Any

import pytest

from runner.targets.sandbox.apiserver.errors import StatusError
from runner.targets.sandbox.apiserver.selectors import field_test, label_test, structured_test

WEB = {"app": "web", "tier": "front", "seatrial.dev/chaos": "allowed"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=web,tier=back", False),
        ("app!=web", False),
        ("none!=web", True),
        ("none=", False),
        ("app in (api, web)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("none notin (api)", True),
        ("app notin (web,api), tier", False),
        ("tier", True),
        ("!tier", False),
        ("! none", True),
        ("seatrial.dev/chaos=allowed", True),
        ("app in (web),tier in (front,back),!x", True),
    ],
)
def test_label_selector(selector: str, matches: bool) -> None:
    """Each operator, alone and joined, on one set of labels."""
    assert label_test(selector)(WEB) is matches


@pytest.mark.parametrize("selector", ["app in web", "=x", "a=b=c", "app in (a", "a b", "a>1"])
def test_label_selector_that_is_none(selector: str) -> None:
    """What cannot be parsed is refused and quoted, never taken as 'everything'."""
    with pytest.raises(StatusError, match="unable to parse requirement") as refused:
        label_test(selector)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "api"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Resembles"}]}, False),
    ],
)
def test_selector_object(selector: Any, matches: bool) -> None:
    """An empty selector object selects all, a missing one nothing, an unknown operator nothing."""
    assert structured_test(selector)(WEB) is matches


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("", True),
        ("metadata.name=a", True),
        ("metadata.name!=a", False),
        ("status.phase=Running,metadata.name=a", True),
        ("spec.unschedulable=true", True),
        ("spec.replicas==2", True),
        ("spec.nodeName=", True),
        ("spec.nodeName!=", False),
        ("spec=", True),
    ],
)
def test_field_selector(selector: str, matches: bool) -> None:
    """Texts, numbers and booleans compare as they are written; what is absent is empty."""
    obj = {
        "metadata": {"name": "a"},
        "spec": {"unschedulable": True, "replicas": 2},
        "status": {"phase": "Running"},
    }
    assert field_test(selector)(obj) is matches


def test_field_selector_that_is_none() -> None:
    """A part without an operator is refused."""
    with pytest.raises(StatusError, match=r"invalid field selector: 'metadata\.name'"):
        field_test("metadata.name")
