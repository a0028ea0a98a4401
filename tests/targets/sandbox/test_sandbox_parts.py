"""Slots, ports, options, readiness in words, and the watch over the supervisor's parts."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import TargetError, UsageError
from runner.targets.sandbox import allocation, readiness
from runner.targets.sandbox.children import start_child, stop_child
from runner.targets.sandbox.options import Request, check_options, settle
from runner.targets.sandbox.parts import Parts
from runner.targets.sandbox.state import start_mark

# Far beyond the slots that sandboxes use, so that tests and sandboxes do not meet.
FREE_SLOTS = range(9_000, 9_003)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_slots_are_exclusive_and_come_back() -> None:
    first = allocation.claim_slot(FREE_SLOTS)
    second = allocation.claim_slot(FREE_SLOTS)
    assert (first.number, second.number) == (9_000, 9_001)
    first.release()
    third = allocation.claim_slot(FREE_SLOTS)
    assert third.number == 9_000
    second.release()
    third.release()


def test_no_slot_left_is_a_clear_error() -> None:
    held = allocation.claim_slot(FREE_SLOTS[:1])
    with pytest.raises(TargetError, match="slots of this machine are taken"):
        allocation.claim_slot(FREE_SLOTS[:1])
    held.release()


def test_ports_of_different_slots_differ() -> None:
    chosen = [*allocation.choose_ports(58).values(), *allocation.choose_ports(59).values()]
    assert len(set(chosen)) == 2 * len(allocation.PORT_NAMES)


def test_a_port_that_is_asked_for_is_taken_and_given_to_no_other_part() -> None:
    """The asked one is the very port that another part would have got."""
    usual = allocation.choose_ports(57)
    ports = allocation.choose_ports(57, {"ingress": usual["kubelet"]})
    assert ports["ingress"] == usual["kubelet"]
    assert len(set(ports.values())) == len(allocation.PORT_NAMES)


def test_a_strangers_port_is_avoided_when_none_was_asked_for() -> None:
    usual = allocation.choose_ports(56)
    with socket.create_server(("127.0.0.1", usual["api"])):
        ports = allocation.choose_ports(56)
    assert ports["api"] != usual["api"]
    assert ports["ingress"] == usual["ingress"]


def test_a_taken_port_says_which_and_by_whom(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(TargetError) as caught:
        allocation.choose_ports(55, {"ingress": port})
    assert f"port {port} on 127.0.0.1, asked for as the sandbox's ingress port" in str(caught.value)
    assert f"(pid {os.getpid()})" in caught.value.message


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"web": 80}, "no port named 'web'"),
        ({"api": 0}, "port 0"),
        ({"api": 65_536}, "port 65536"),
        ({"api": 9000, "ingress": 9000}, "twice"),
    ],
)
def test_impossible_ports_are_refused(asked: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        allocation.choose_ports(55, asked)


def test_pods_move_to_another_port_when_a_program_listens_on_all_addresses() -> None:
    """A listener on 0.0.0.0 holds its port on every loopback address, too."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 - that is the point
        taken = server.getsockname()[1]
        assert allocation.choose_pod_port("127.200.0.2", (taken, 18_080)) == 18_080
        with pytest.raises(TargetError, match=rf"none of the ports {taken} is free .* \(pid \d+\)"):
            allocation.choose_pod_port("127.200.0.2", (taken,))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"replicas": 3.0}, {"replicas": 3}),
        ({"pod_recreation_delay_s": 0.5, "seed": 7}, {"pod_recreation_delay_s": 0.5, "seed": 7}),
    ],
)
def test_options_get_their_types(given: dict[str, float], expected: dict[str, float]) -> None:
    checked = check_options(given)
    assert checked == expected
    assert {name: type(value) for name, value in checked.items()} == {
        name: type(value) for name, value in expected.items()
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replica": 2}, "no option 'replica'"),
        ({"replicas": 0}, "from 1 to 20"),
        ({"replicas": 2.5}, "a whole number"),
        ({"replicas": float("nan")}, "a whole number"),
        ({"default_grace_s": float("nan")}, "seconds from 0"),
        ({"default_grace_s": float("inf")}, "seconds from 0"),
        ({"slot": 3}, "no option 'slot'"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_options(options)
    assert words in str(caught.value)


def test_settings_follow_from_request_and_slot(tmp_path: Path) -> None:
    slot = allocation.claim_slot(range(53, 54))
    settings = settle(Request("unit", tmp_path, options={"replicas": 3}), slot)
    slot.release()
    assert (settings.name, settings.slot, settings.replicas) == ("unit", 53, 3)
    assert settings.pod_address(0) == "127.117.0.2"
    assert settings.pod_port in allocation.POD_PORTS
    assert settings.home == tmp_path


# -- readiness -------------------------------------------------------------------------------


def deployment(name: str, replicas: int = 2) -> dict[str, Any]:
    selector = {"matchLabels": {"app": name}}
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": selector}}


def pod(app: str, *, ready: str = "True", deleted: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"{app}-1", "labels": {"app": app}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def endpoints(name: str, count: int) -> dict[str, Any]:
    addresses = [{"ip": f"127.64.0.{index}"} for index in range(count)]
    return {"metadata": {"name": name}, "subsets": [{"addresses": addresses}] if count else None}


def test_pods_that_are_unready_or_going_do_not_count() -> None:
    deployments = [deployment("order-api"), deployment("payment-api")]
    pods = [
        pod("order-api"),
        pod("order-api", ready="False"),
        pod("order-api", deleted=True),
        pod("payment-api"),
        pod("payment-api"),
        {"metadata": {"name": "new", "labels": {"app": "order-api"}}},
    ]
    assert readiness.unready_deployments(deployments, pods) == ["order-api 1/2"]


def test_a_deployment_without_pods_is_not_ready() -> None:
    assert readiness.unready_deployments([deployment("a")], []) == ["a 0/2"]
    assert readiness.unready_deployments([deployment("a", 0)], []) == []


def test_the_shops_services_need_an_address_per_replica() -> None:
    """A Deployment that is not the shop's needs no Service."""
    deployments = [deployment("order-api"), deployment("payment-api"), deployment("other")]
    given = [endpoints("order-api", 1), endpoints("payment-api", 2)]
    assert readiness.thin_endpoints(deployments, given) == ["order-api 1/2"]
    assert readiness.thin_endpoints(deployments, []) == ["order-api 0/2", "payment-api 0/2"]


def test_a_scrape_target_that_fails_is_silent() -> None:
    def answer(**up: str) -> dict[str, Any]:
        result = [{"metric": {"job": job}, "value": [0, value]} for job, value in up.items()]
        return {"data": {"result": result}}

    assert readiness.silent_targets(answer(envoy="1", pods="1")) == []
    assert readiness.silent_targets(answer(envoy="1", pods="0")) == ["pods"]
    assert readiness.silent_targets({"status": "error"}) == ["envoy", "pods"]


# -- parts -----------------------------------------------------------------------------------


async def forever() -> None:
    await asyncio.Event().wait()


def test_a_stopped_part_is_no_failure() -> None:
    async def scenario() -> tuple[str, bool]:
        parts = Parts()
        parts.start("a", forever())
        await asyncio.sleep(0)
        await parts.stop("a")
        await parts.stop("never started")
        return parts.failure, parts.failed.is_set()

    assert asyncio.run(scenario()) == ("", False)


def test_the_first_part_that_fails_is_remembered() -> None:
    async def fails(error: Exception) -> None:
        raise error

    async def scenario() -> str:
        parts = Parts()
        parts.start("mesh", fails(TargetError("Envoy is gone")))
        await parts.failed.wait()
        parts.start("kubelet", fails(ValueError("later")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return parts.failure

    assert asyncio.run(scenario()) == "mesh failed: Envoy is gone"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "envoy ended by itself"),
        (1, "envoy ended by itself (exit code 1)"),
        (-9, "envoy ended by itself (killed by signal 9)"),
    ],
)
def test_a_part_that_just_ends_has_failed_too(result: int | None, words: str) -> None:
    async def ends() -> int | None:
        return result

    async def scenario() -> str:
        parts = Parts()
        parts.start("envoy", ends())
        await parts.failed.wait()
        return parts.failure

    assert asyncio.run(scenario()) == words


def test_stopping_waits_for_the_parts_clean_up() -> None:
    async def scenario() -> list[str]:
        done: list[str] = []

        async def tidy() -> None:
            try:
                await forever()
            finally:
                await asyncio.sleep(0)
                done.append("tidied")

        parts = Parts()
        parts.start("kubelet", tidy())
        await asyncio.sleep(0)
        await parts.stop("kubelet")
        return done

    assert asyncio.run(scenario()) == ["tidied"]


# -- children --------------------------------------------------------------------------------

SLEEPER = "import sys,time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


async def wait_for_text(path: Path, text: str) -> None:
    async with asyncio.timeout(10):
        while not path.exists() or text not in path.read_text():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("program", "grace_s", "code"),
    [(SLEEPER, 10.0, -signal.SIGTERM), (STUBBORN, 0.05, -signal.SIGKILL)],
)
def test_a_child_is_asked_to_end_and_then_made_to(
    tmp_path: Path, program: str, grace_s: float, code: int
) -> None:
    async def scenario() -> int:
        log = tmp_path / "logs" / "child.log"
        child = await start_child([sys.executable, "-c", program], log=log)
        await wait_for_text(log, "up")
        return await stop_child(child, grace_s=grace_s)

    assert asyncio.run(scenario()) == code


PARENT = """
import asyncio, sys
from pathlib import Path
from runner.targets.sandbox.children import start_child
async def main():
    child = await start_child([sys.executable, "-c", sys.argv[2]], log=Path(sys.argv[1]))
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_killed_parent_takes_its_children_along(tmp_path: Path) -> None:
    """A process starts a child that ignores SIGTERM; the process is killed with SIGKILL."""

    async def scenario() -> str | None:
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PARENT, str(tmp_path / "log"), STUBBORN),
            stdout=asyncio.subprocess.PIPE,
        )
        assert parent.stdout is not None
        child = int(await parent.stdout.readline())
        await wait_for_text(tmp_path / "log", "up")
        assert start_mark(child) is not None
        parent.kill()
        await parent.wait()
        async with asyncio.timeout(10):
            while start_mark(child) is not None:
                await asyncio.sleep(0.01)
        return start_mark(child)

    assert asyncio.run(scenario()) is None
