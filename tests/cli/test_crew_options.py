"""``--workers`` and its kin, and ``seatrial worker``: what is not meant is refused at once."""

from __future__ import annotations

import json
import os
import socket

import pytest
from conftest import ROOT

from runner.cli import main

PLAN = ("plan", "normal", "--experiments", str(ROOT / "experiments"), "-o", "json")


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(argv))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize("number", ["-1", "257", "abc", "1.5", ""])
def test_a_number_of_workers_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], number: str
) -> None:
    code, _, err = call(capsys, *PLAN, f"--workers={number}")
    assert (code, f"{number!r} is not 'auto' or a number from 0 to 256" in err) == (2, True)


@pytest.mark.parametrize("word", ["auto", "AUTO"])
@pytest.mark.parametrize(("processors", "workers"), [({0}, 0), ({0, 3, 5}, 3)])
def test_auto_is_one_for_each_processor_that_may_be_used(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    word: str,
    processors: set[int],
    workers: int,
) -> None:
    """Goal: no worker beside itself on one processor. Method: a machine that has some of them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: processors)
    code, out, _ = call(capsys, *PLAN, "--workers", word)
    assert (code, json.loads(out)["generator"]["workers"]) == (0, workers)


@pytest.mark.parametrize(
    "host", ["::1", "[::1]:5557", "a b", ":5557", "h:70000", "h:x", "", "h" * 64]
)
@pytest.mark.parametrize("command", [(*PLAN, "--bind"), ("worker", "shop.py", "--master")])
def test_an_address_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], host: str
) -> None:
    code, _, err = call(capsys, *command, host)
    assert code == 2
    assert f"{host!r} is not HOST or HOST:PORT, such as 10.0.0.5:5557" in err


@pytest.mark.parametrize(
    ("bind", "host", "port"),
    [("0.0.0.0", "0.0.0.0", 5557), ("*:6000", "*", 6000), ("a.b", "a.b", 5557)],  # noqa: S104
)
def test_an_address_for_workers_is_part_of_the_plan(
    capsys: pytest.CaptureFixture[str], bind: str, host: str, port: int
) -> None:
    code, out, _ = call(capsys, *PLAN, "--expect-workers", "1", "--bind", bind)
    generator = json.loads(out)["generator"]
    assert (code, generator["bind_host"], generator["bind_port"]) == (0, host, port)


def test_a_worker_of_nobody_is_told_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: no minutes of tries. Method: a name server that does not know the name."""

    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    file = str(ROOT / "locustfiles" / "shop.py")
    code, out, err = call(capsys, "worker", file, "--master", "ship.example:5557")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: there is no way to the run at 'ship.example': Name or service not"
    )
    assert "accepted: a name or an address of the machine that runs 'seatrial run'" in err
