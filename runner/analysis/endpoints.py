"""Which endpoints an objective is about: one, those of a pattern, those of a group. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.analysis.words import listed
from runner.mistakes import closest

ANY = "*"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What ``of`` means in one run.

    Attributes:
        names: For :class:`~runner.analysis.windows.LoadTable`: None for all requests, else the
            endpoints, whose requests are taken together.
        missing: Why nothing can be said, as the end of a sentence: a name or a pattern that is
            nothing that the load called. Empty when all is well.
    """

    names: tuple[str, ...] | None
    missing: str = ""


def endpoints_meant(
    of: str | None, groups: Mapping[str, Sequence[str]], called: Sequence[str]
) -> Endpoints:
    """The endpoints that ``of`` means.

    A group goes before an endpoint, and an endpoint that is called so before a pattern: some
    locustfiles name their requests ``GET /items/*``.

    Args:
        of: Endpoint, pattern with ``*`` or name of a group; None for all requests.
        groups: Endpoints and patterns by the name of their group.
        called: Endpoints that the load called.
    """
    if of is None:
        return Endpoints(None)
    wanted = tuple(groups[of]) if of in groups else (of,)
    found: dict[str, None] = {}
    for one in wanted:
        names = matching(one, called)
        if not names:
            of_group = f" (in the group {of})" if of in groups else ""
            return Endpoints((), _nothing(one, called, [] if of in groups else [*groups], of_group))
        found.update(dict.fromkeys(names))
    return Endpoints(tuple(found))


def matching(pattern: str, called: Iterable[str]) -> tuple[str, ...]:
    """Those of ``called`` that ``pattern`` means: itself, or all that fit; ``*`` is any text."""
    known = tuple(called)
    if pattern in known:
        return (pattern,)
    if ANY not in pattern:
        return ()
    shape = re.compile(".*".join(re.escape(piece) for piece in pattern.split(ANY)), re.DOTALL)
    return tuple(name for name in known if shape.fullmatch(name))


def _nothing(wanted: str, called: Sequence[str], groups: Sequence[str], of_group: str) -> str:
    text = f"there were no requests to {wanted}{of_group}"
    guess = closest(wanted, [*called, *groups])
    if guess:
        return f"{text}; did you mean {guess}?"
    return f"{text}, only to others: {listed(called)}" if called else text
