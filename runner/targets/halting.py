"""The switch that stops every run in a namespace: set, lifted, looked at. By a short child.

It is a ConfigMap (``runner.model.lock``). Who may not set it can be told so by the API server; who
runs something looks at it every few seconds, and before it starts.
"""

from __future__ import annotations

import argparse
import getpass
import json
import platform
import sys
from collections.abc import Callable
from typing import Any

from runner.errors import TargetError
from runner.model import lock
from runner.model.recording import TargetInfo
from runner.process import SystemClock
from runner.targets.inspection import ask_child, child_parser, connect, say
from runner.targets.permissions import REQUEST_S


def halt(target: TargetInfo, reason: str) -> str:
    """Stop every run in the namespace of ``target``; returns what the switch says then.

    A switch that is set already keeps what it says.

    Raises:
        TargetError: When it cannot be set.
    """
    return _said(
        target, "set", "--reason", reason, "--by", f"{getpass.getuser()}@{platform.node()}"
    )


def lift(target: TargetInfo) -> str:
    """Let runs start again; returns what the switch said, or an empty text if it was not set.

    Raises:
        TargetError: When it cannot be lifted.
    """
    return _said(target, "lift")


def halted(target: TargetInfo) -> str:
    """What the switch says; empty when it is not set.

    Raises:
        TargetError: When that cannot be read.
    """
    return _said(target, "look")


def _said(target: TargetInfo, *asked: str) -> str:
    answer = ask_child("halting", target, *asked)
    if refused := answer.get("refused"):
        raise TargetError(
            f"the ConfigMap {lock.SWITCH} in {target.namespace} of {target.name}: {refused}",
            accepted="get, create and delete configmaps there",
        )
    return str(answer.get("said") or "")


# -- the child -------------------------------------------------------------------------------------


def main() -> int:
    """Do what is asked, and print the answer; the exit code says whether there is one."""
    parser = child_parser("halting")
    parser.add_argument("what", choices=("set", "lift", "look"))
    parser.add_argument("--reason", default="")
    parser.add_argument("--by", default="")
    asked = parser.parse_args()
    return say(lambda: _carry_out(asked))


def _carry_out(asked: argparse.Namespace) -> dict[str, Any]:
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    core = client.CoreV1Api(connect(asked))
    try:
        if asked.what == "set":
            switch = lock.new_switch(asked.reason, asked.by, SystemClock().wall_s())
            _answer(core.create_namespaced_config_map, (409,), asked.namespace, switch)
        found = _answer(core.read_namespaced_config_map, (404,), lock.SWITCH, asked.namespace)
        if asked.what == "lift" and found is not None:
            _answer(core.delete_namespaced_config_map, (404,), lock.SWITCH, asked.namespace)
    except ApiException as error:
        return {"refused": f"HTTP {error.status}: {error.reason}"}
    return {"said": "" if found is None else lock.why_stopped(found)}


def _answer(call: Callable[..., Any], but: tuple[int, ...], *args: Any) -> dict[str, Any] | None:
    """The JSON that ``call`` answers with; None for one of the statuses ``but``."""
    from kubernetes.client.exceptions import ApiException

    try:
        answer = call(*args, _preload_content=False, _request_timeout=REQUEST_S)
    except ApiException as error:
        if error.status in but:
            return None
        raise
    found: dict[str, Any] = json.loads(answer.data)
    return found


if __name__ == "__main__":
    sys.exit(main())
