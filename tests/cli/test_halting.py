"""``halt``: what it asks for, what it says, and on a real API server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bare_api import NAMESPACE, BareApi

from runner.model import lock

EXPERIMENTS: dict[str, str] = {}
Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "words", [("--lift", "--status"), ("--reason", "x", "--lift"), ("--reason", "", "--status")]
)
def test_it_does_one_thing_at_a_time(run: Run, folder: Path, words: tuple[str, ...]) -> None:
    code, _, err = run("halt", *words)
    assert code == 2
    assert "accepted: --reason, --lift or --status" in err


def test_a_sandbox_that_is_not_up_has_no_run(run: Run, folder: Path) -> None:
    code, _, err = run("halt", "--sandbox-name", "nobody")
    assert code == 2
    assert "the sandbox 'nobody' is not up" in err


@pytest.mark.sandbox
def test_it_is_set_shown_and_lifted(run: Run, folder: Path, bare_api: BareApi) -> None:
    """Goal: one object, that kubectl can set as well. Method: a cluster by flags alone; the object
    by somebody else's client."""
    where = ["--context", "seatrial-bare", "--kubeconfig", str(bare_api.kubeconfig)]
    where += ["-n", NAMESPACE]
    name = f"{NAMESPACE} of seatrial-bare"
    assert run("halt", "--status", *where) == (0, f"not halted in {name}\n", "")
    try:
        code, out, _ = run("halt", "--reason", "incident 4711", *where)
        assert code == 0
        assert out.startswith(f"halted in {name}: incident 4711 (set by ")
        switch = bare_api.core.read_namespaced_config_map(lock.SWITCH, NAMESPACE)
        assert switch.data["reason"] == "incident 4711"
        assert run("halt", "--status", *where) == (0, out, "")
        lifted = out.replace("halted in", "lifted in")
        assert run("halt", "--lift", *where) == (0, lifted, "")
        body = {"metadata": {"name": lock.SWITCH}, "data": {"reason": "by kubectl"}}
        bare_api.core.create_namespaced_config_map(NAMESPACE, body)
        said = run("halt", "--status", *where)[1]
        assert said.startswith(f"halted in {name}: by kubectl (set at ")
    finally:
        run("halt", "--lift", *where)
    assert run("halt", "--lift", *where) == (0, f"it was not halted in {name}\n", "")
