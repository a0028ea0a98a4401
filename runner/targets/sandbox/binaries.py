"""Finding the programs that the sandbox starts but does not contain. Nothing is downloaded here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from runner.errors import MissingPartError

ENVIRONMENT_VARIABLE = "SEATRIAL_PROMETHEUS"
_INSIDE = Path("prometheus", "usr", "bin", "prometheus")


def find_prometheus(
    environment: Mapping[str, str] | None = None, *, checkout: Path | None = None
) -> Path:
    """The Prometheus binary: named by ``SEATRIAL_PROMETHEUS``, on ``PATH``, or unpacked by setup.

    Setup unpacks it below ``.tools`` of the checkout; a copy for all checkouts may stand in the
    user's cache folder (``~/.cache/seatrial``).

    Args:
        environment: The variables to go by; None for this process's.
        checkout: The checkout to look in; None for the one that this file stands in.

    Raises:
        MissingPartError: When no executable file is found, or the named one is none.
    """
    environment = os.environ if environment is None else environment
    named = environment.get(ENVIRONMENT_VARIABLE)
    if named:
        if _is_program(Path(named)):
            return Path(named)
        raise MissingPartError(
            f"{ENVIRONMENT_VARIABLE} names {named!r}, which is not an executable file",
            accepted="the path of a Prometheus binary (2.40 or later)",
        )
    on_path = shutil.which("prometheus", path=environment.get("PATH", ""))
    if on_path:
        return Path(on_path)
    places = _unpacked(environment, checkout or Path(__file__).resolve().parents[3])
    for place in places:
        if _is_program(place):
            return place
    raise MissingPartError(
        "the sandbox needs Prometheus, and there is none on this machine: looked on PATH and at "
        + ", ".join(str(place) for place in places),
        accepted="a Prometheus binary (2.40 or later)",
        hint=f"run `make setup` in the checkout, or set {ENVIRONMENT_VARIABLE} to a binary",
    )


def _unpacked(environment: Mapping[str, str], checkout: Path) -> list[Path]:
    home = environment.get("HOME", "")
    cache = environment.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    places = [checkout / ".tools" / _INSIDE]
    if cache:
        places.append(Path(cache) / "seatrial" / _INSIDE)
    return places


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
