"""Slots and ports: what one sandbox must not share with any other process of the machine.

A slot is held by a socket with a name in Linux's abstract namespace, because that namespace has
exactly the reach of the loopback addresses that the slot stands for: one network namespace, all
users of it. It is free again the moment that its holder dies. Ports follow from the slot, so two
sandboxes that start at the same time do not race for them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from runner.errors import TargetError, UsageError

SLOTS: Final = 60
PORT_NAMES: Final = ("api", "ingress", "prometheus", "envoy_admin", "exporter", "kubelet")
# Not 8080: as long as pods listen there, nobody's own server could listen on all addresses.
POD_PORTS: Final = (18_080, 28_080, 8080)
_FIRST_PORT: Final = 21_000
_PORTS_PER_SLOT: Final = 8
_HIGHEST_PORT: Final = 65_535


class Slot:
    """A claimed slot: its ``number``, and the socket that holds it until :meth:`release`."""

    def __init__(self, number: int, holder: socket.socket) -> None:
        self.number = number
        self._holder = holder

    def release(self) -> None:
        """Give the slot back."""
        self._holder.close()


def claim_slot(candidates: Iterable[int] = range(SLOTS)) -> Slot:
    """The first free slot of this machine.

    Raises:
        TargetError: When all are taken.
    """
    for number in candidates:
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0seatrial-sandbox-slot-{number}")
        except OSError:
            holder.close()
            continue
        return Slot(number, holder)
    raise TargetError(
        f"all {SLOTS} sandbox slots of this machine are taken",
        hint="`seatrial sandbox status` shows what is up; take one down",
    )


def check_ports(asked: Mapping[str, int]) -> None:
    """Refuse ports that cannot be meant.

    Raises:
        UsageError: For an unknown name, a number outside of 1-65535, or one number twice.
    """
    for name, port in asked.items():
        if name not in PORT_NAMES:
            raise UsageError(
                f"the sandbox has no port named {name!r}", accepted=", ".join(PORT_NAMES)
            )
        if not 1 <= port <= _HIGHEST_PORT:
            raise UsageError(f"port {port} ({name}) does not exist", accepted="1 to 65535")
    if len(set(asked.values())) != len(asked):
        raise UsageError(
            "one port is asked for twice: "
            + ", ".join(f"{name}={port}" for name, port in asked.items())
        )


def choose_ports(slot: int, asked: Mapping[str, int] | None = None) -> dict[str, int]:
    """A port on 127.0.0.1 for each of :data:`PORT_NAMES`.

    Those in ``asked`` are taken as they are; the others follow from the slot, and where such a
    port is taken by a stranger the kernel chooses a free one.

    Raises:
        TargetError: When a port that was asked for is taken; it says by whom, if that is known.
        UsageError: For an impossible ``asked``.
    """
    asked = asked or {}
    check_ports(asked)
    ports: dict[str, int] = {}
    for index, name in enumerate(PORT_NAMES):
        if name in asked:
            if not is_free("127.0.0.1", asked[name]):
                raise _taken(name, asked[name])
            ports[name] = asked[name]
            continue
        preferred = _FIRST_PORT + slot * _PORTS_PER_SLOT + index
        taken = {*ports.values(), *asked.values()}
        if preferred in taken or not is_free("127.0.0.1", preferred):
            preferred = _any_free(taken)
        ports[name] = preferred
    return ports


def choose_pod_port(address: str, ports: Sequence[int] = POD_PORTS) -> int:
    """The first of ``ports`` that is free at ``address``; all pods will listen on it.

    Another program that listens on a port of *all* addresses holds it on the pods' addresses too.

    Raises:
        TargetError: When all are taken.
    """
    for port in ports:
        if is_free(address, port):
            return port
    raise TargetError(
        f"none of the ports {', '.join(map(str, ports))} is free at the pods' address {address}"
        + _listeners(ports),
        hint="stop a program that listens on one of them on all addresses",
    )


def is_free(address: str, port: int) -> bool:
    """True when a server could listen on ``address``:``port`` now.

    Raises:
        TargetError: When this user may not use the port at all.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Servers set this too: a connection in TIME_WAIT is no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError as error:
            raise TargetError(
                f"port {port} may only be used by the superuser",
                accepted="a port from 1024 on, or none: a free one is chosen",
            ) from error
        except OSError:
            return False
    return True


def _any_free(taken: set[int]) -> int:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def _taken(name: str, port: int) -> TargetError:
    return TargetError(
        f"port {port} on 127.0.0.1, asked for as the sandbox's {name} port, is taken"
        + _listeners((port,)),
        hint="stop that program, ask for another port, or ask for none: a free one is chosen",
    )


def _listeners(ports: Iterable[int]) -> str:
    """Which processes listen on ``ports``, as far as this user may know; empty when unknown."""
    import psutil

    wanted, found = set(ports), []
    try:
        for connection in psutil.net_connections(kind="tcp"):
            place, pid = connection.laddr, connection.pid
            if connection.status != psutil.CONN_LISTEN or not place or place.port not in wanted:
                continue
            if pid and (who := f"{psutil.Process(pid).name()} (pid {pid})") not in found:
                found.append(who)
    except (psutil.Error, OSError):
        return ""
    return f" by {', '.join(found)}" if found else ""
