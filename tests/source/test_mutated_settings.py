"""The other files that people give, broken in seeded ways: read, or refused with a place."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from mutations import mutated
from test_openslo import SLI, SLO, THRESHOLD

from runner.chaos.documents import place_of, read_document
from runner.chaos.importing import NotImportableError, Wishes, imported
from runner.cli.exchange import _import_openslo
from runner.errors import InvalidFileError, UsageError
from runner.objectivesets import check_set
from runner.source import check_experiment, load_config
from runner.yamltext import parse_all

CONFIG = """\
targets:
  staging:
    context: staging-eu
    kubeconfig: ~/.kube/staging
    namespace: shop
    ingress: https://shop.staging.example
    host: shop.example
    prometheus:
      url: https://prometheus.example
      bearer_token_env: TOKEN
      headers: {X-Scope-OrgID: shop}
      tls: {ca_file: ca.pem, cert_file: c.pem, key_file: k.pem}
    bounds: {max_pods: 2, max_percent: 50%, min_healthy: 1, kinds: [pod-kill, http-delay]}
    alerts: refuse
    alert_selector: 'severity="critical"'
  prod-eu:
    context: prod
    namespace: shop
    ingress: http://10.0.0.1:8080
    prometheus: http://10.0.0.1:9090
sandbox: {alerts: warn, bounds: {max_pods: 3}}
notify: {on: fail, urls_env: NOTIFY, timeout: 10s}
"""
TOOLKIT = """\
title: What if a pod goes?
description: It comes back.
tags: [pod]
configuration: {ns: {type: env, key: NS, default: shop}}
secrets: {k: {CONTEXT: {type: env, key: CONTEXT}}}
steady-state-hypothesis:
  title: It answers
  probes:
    - type: probe
      name: answers
      tolerance: 200
      provider: {type: http, url: "http://127.0.0.1:1/", timeout: 3}
method:
  - type: action
    name: terminate
    provider:
      type: python
      module: chaosk8s.pod.actions
      func: terminate_pods
      arguments: {label_selector: app=cart, qty: 1, ns: "${ns}"}
    pauses: {after: 10}
  - {type: action, name: say, provider: {type: process, path: echo, arguments: hello}}
rollbacks: []
"""
SET = ROOT / "experiments" / "objectives" / "shop.yaml"


def config(text: str, folder: Path) -> None:
    path = folder / "seatrial.yaml"
    path.write_text(text, encoding="utf-8")
    load_config(path)


def objective_set(text: str, folder: Path) -> None:
    check_set(text, folder / SET.name)


def openslo(text: str, folder: Path) -> None:
    path = folder / "slo.yaml"
    path.write_text(text, encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _import_openslo(path, "", Path("-"), folder, {})


def toolkit(text: str, folder: Path) -> None:
    document, places = read_document(text, "x.yaml")
    try:
        made = imported(document, Wishes(), origin="x.yaml")
    except NotImportableError as error:
        line, column = place_of(places, error.found[0].path)
        raise InvalidFileError(f"x.yaml:{line}:{column}: {error.found[0].message}") from error
    check_experiment(made.text, ROOT / "experiments" / f"{made.name}.yaml")


def said(read: Callable[[str, Path], None], text: str, folder: Path) -> str:
    """What is said against ``text``; empty when it is read."""
    try:
        read(text, folder)
    except (InvalidFileError, UsageError) as error:
        return error.message
    return ""


@pytest.mark.parametrize(
    ("read", "texts", "count"),
    [
        (config, [CONFIG], 300),
        (objective_set, [SET.read_text(encoding="utf-8")], 150),
        (openslo, [SLI + SLO, THRESHOLD], 200),
        (toolkit, [TOOLKIT], 100),
    ],
    ids=["seatrial.yaml", "objective set", "OpenSLO", "Chaos Toolkit"],
)
def test_a_mutated_file_is_read_or_refused_with_a_place(
    read: Callable[[str, Path], None], texts: list[str], count: int, tmp_path: Path
) -> None:
    """Goal: never a traceback, never a shrug. Method: pieces and values of good files changed."""
    known = [(text, parse_all(text, Path("x"))[0]) for text in texts]
    whole = 0
    for seed in range(count):
        text, documents = known[seed % len(known)]
        data = documents[0] if len(documents) == 1 else documents
        try:
            problem = said(read, mutated(text, data, seed), tmp_path)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        whole += not problem
        assert re.search(r"^$|:\d+:\d+: ", problem), f"seed {seed}: {problem[:200]}"
    assert 0.02 * count < whole < 0.9 * count
