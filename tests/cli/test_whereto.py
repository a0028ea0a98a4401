"""Which target the flags name, and what a production one asks for."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.catalog import TargetChoice, cluster_spec
from runner.cli.confirmation import confirm_production
from runner.cli.whereto import target_choice
from runner.errors import UsageError

BOUND_S = 10.0
FILE = """
targets:
  staging:
    context: eu-staging
    namespace: shop
    ingress: http://shop.example
    prometheus: http://prometheus.example
    bounds: {max_pods: 1}
  staging-2:
    context: eu-staging
    namespace: second
    ingress: http://second.example
    prometheus: http://prometheus.example
  shop-live:
    context: eu-1
    namespace: shop
    ingress: http://live.example
    prometheus: http://prometheus.example
"""
URLS = {"ingress": "http://a.example", "prometheus": "http://b.example"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "seatrial.yaml"
    path.write_text(FILE, encoding="utf-8")
    return path


def choose(config: Path, **given: Any) -> TargetChoice:
    whole = {"target": None, "sandbox_name": None, **given}
    return target_choice(config=config, **whole)


def test_without_flags_it_is_the_sandbox(config: Path) -> None:
    assert (choose(config).name, choose(config).sandbox_name) == ("sandbox", "default")
    assert choose(config, sandbox_name="b").sandbox_name == "b"


def test_a_password_in_the_address_of_prometheus_is_used_and_not_told(config: Path) -> None:
    """Goal: what names the target again is recorded, so it has no password. Method: by flags."""
    flags = {"context": "kind-dev", "namespace": "shop", **URLS}
    flags["prometheus"] = "https://reader:tr0ub4dor@b.example/path"
    choice = choose(config, **flags)
    assert cluster_spec(choice).prometheus.url == flags["prometheus"]
    assert "--prometheus https://b.example/path" in choice.flags
    assert "tr0ub4dor" not in choice.flags
    with pytest.raises(UsageError) as caught:
        choose(config, **{**flags, "prometheus": "ftp://reader:tr0ub4dor@b.example"})
    assert "tr0ub4dor" not in str(caught.value)


def test_another_address_is_asked_without_the_credentials_of_the_file(config: Path) -> None:
    """Goal: no token goes to a server that it is not for. Method: a flag over keys of the file."""
    keys = "prometheus: {url: http://prometheus.example, bearer_token_file: token}"
    config.write_text(FILE.replace("prometheus: http://prometheus.example", keys, 1))
    kept = cluster_spec(choose(config, target="staging")).prometheus
    assert kept.bearer_token_file == "token"
    moved = cluster_spec(choose(config, target="staging", prometheus="http://localhost:9090"))
    assert (moved.prometheus.url, moved.prometheus.bearer_token_file) == (
        "http://localhost:9090",
        None,
    )
    other = cluster_spec(choose(config, target="staging", host="api.example")).prometheus
    assert other == kept


def test_a_cluster_can_be_named_by_flags_alone(config: Path, tmp_path: Path) -> None:
    """Goal: no file is needed. Method: all flags; what names it again is kept."""
    flags = {"context": "kind-dev", "kubeconfig": "k", "namespace": "shop", **URLS}
    for path in (config, tmp_path / "absent.yaml"):
        choice = choose(path, **flags)
        spec = cluster_spec(choice)
        assert choice.name == "kind-dev"
        assert choice.flags == (
            "--context kind-dev --kubeconfig k --namespace shop --ingress http://a.example "
            "--prometheus http://b.example"
        )
        assert (spec.context, spec.namespace, spec.ingress) == ("kind-dev", "shop", URLS["ingress"])
        assert spec.require_opt_in


def test_what_is_missing_is_named(config: Path) -> None:
    with pytest.raises(UsageError, match="missing --ingress, --prometheus"):
        choose(config, context="kind-dev", namespace="shop")
    spec = cluster_spec(choose(config, context="kind-dev", namespace="shop", loads=False))
    assert (spec.context, spec.namespace) == ("kind-dev", "shop")


def test_flags_come_before_the_file(config: Path) -> None:
    choice = choose(config, target="staging", ingress="http://other.example")
    spec = cluster_spec(choice)
    assert (choice.name, choice.flags) == ("staging", f"--target staging --config {config}")
    assert (spec.ingress, spec.namespace) == ("http://other.example", "shop")


def test_another_namespace_stands_in_what_names_the_target_again(config: Path) -> None:
    """Goal: a heal finds the faults. Method: a target of the file, in another namespace."""
    choice = choose(config, target="staging", namespace="other")
    assert choice.flags == f"--target staging --config {config} --namespace other"
    assert cluster_spec(choice).namespace == "other"


def test_a_context_of_the_file_keeps_its_bounds(config: Path) -> None:
    """Goal: no flag goes around bounds. Method: the context alone, which the file has twice."""
    choice = choose(config, context="eu-staging", namespace="shop")
    assert choice.name == "staging"
    assert cluster_spec(choice).bounds.max_pods == 1
    with pytest.raises(UsageError, match="several targets") as caught:
        choose(config, context="eu-staging")
    assert caught.value.accepted == "--target staging or --target staging-2"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"namespace": "shop"}, "--namespace: of which cluster"),
        ({"target": "sandbox", "context": "x"}, "the sandbox has its own context"),
        ({"target": "staging", "sandbox_name": "b"}, "--sandbox-name says nothing"),
        ({"target": "stagin"}, "did you mean 'staging'"),
        ({"target": "stagin", "host": "x"}, "did you mean 'staging'"),
        ({"context": "x", "namespace": "A B", **URLS}, "'x' cannot be used"),
    ],
)
def test_flags_that_name_no_target(config: Path, given: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(config, **given)


def test_production_is_named_once_more(config: Path) -> None:
    """Goal: nobody hits production by habit. Method: no terminal; nothing, a wrong name, its name.

    A pipe can confirm by the flag only.
    """
    live = choose(config, target="shop-live")
    for wrong in (None, "eu-2", "yes"):
        with pytest.raises(UsageError, match="looks like production") as caught:
            confirm_production(live, wrong)
        assert caught.value.accepted == "--confirm-production eu-1"
    confirm_production(live, "eu-1")
    confirm_production(choose(config, target="staging"), None)
    confirm_production(choose(config), None)


@pytest.mark.parametrize(("typed", "goes_on"), [("eu-1", True), ("y", False), ("", False)])
def test_on_a_terminal_the_name_is_asked_for(
    config: Path, typed: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a yes is no name. Method: a pseudo-terminal, on which somebody types."""
    person, terminal = os.openpty()
    with os.fdopen(terminal, closefd=False) as reading, os.fdopen(terminal, "w") as writing:
        monkeypatch.setattr(sys, "stdin", reading)
        monkeypatch.setattr(sys, "stderr", writing)
        os.write(person, f"{typed}\n".encode())
        live = choose(config, target="shop-live")
        if goes_on:
            confirm_production(live, None)
        else:
            with pytest.raises(UsageError, match="looks like production"):
                confirm_production(live, None)
        writing.flush()
        wanted, shown = "This run will break things there.", ""
        # The terminal echoes what is typed, and passes everything on when it finds the time.
        while wanted not in shown and select.select([person], [], [], BOUND_S)[0]:
            shown += os.read(person, 4096).decode()
    os.close(person)
    assert wanted in shown
