"""Mutated experiment files: seeded, so that each can be made again. Text in, text out."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

PIECES = (
    "",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "\n",
    " ",
    "  ",
    "\t",
    "#",
    "|",
    ">",
    "%",
    "@",
    "`",
    "&a ",
    "*a",
    "!!python/object:os.system ",
    "!!binary ",
    "? ",
    "---\n",
    "...\n",
    "<<: ",
    "~",
    ",",
    "0",
    "-1",
    "1e309",
    ".nan",
    ".inf",
    "0x1F",
    "1_000",
    "é",
    "\u202e",
    "\ufeff",
    "\x00",
    "\x1b[2J",
    "\u2028",
    "\ud7ff",
    "𝕏",
    "null",
    "true",
    "x" * 300,
    "500ms",
    "9" * 40,
    "-5s",
    "1e5s",
    "100.1%",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    2**63,
    10**40,
    0.1,
    -0.0,
    1e308,
    "",
    " ",
    "0s",
    "1s",
    "-1s",
    "5x",
    "500ms",
    "99999999d",
    "100%",
    "101%",
    "-1%",
    "nan",
    "1/s",
    "0/s",
    "1/0",
    "x" * 10_000,
    "<script>",
    "\x1b[31m",
    "\u202eabc",
    "../../etc/passwd",
    "'; rm -rf",
    "{{ 7*7 }}",
    "$range",
    "a..b",
    "2m..1m",
    "1s..2s",
    "fault:x",
    "stage:9",
    "baseline",
    "latency.p95 < 5",
    "errors < 1%",
    "recovery < 1s",
    "p(95)<1s",
    "latency.p99 <= baseline + 10%",
    "errors <= run:x + 1pp",
    "signal.q < 5",
    "no critical alert",
    "alert.X <= 1m",
    "burn-rate < 1",
    "budget < 5%",
    "traffic > 1/s",
    "breaking-point > 1/s",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    {"use": "x"},
    {"expect_alert": {"name": "A"}},
    [{"kind": "drain"}],
    {"objective": "errors < 1%", "for": "1s"},
    {"kind": "http-abort", "service": "a", "at": "1s"},
)
KEYS = (
    "name",
    "load",
    "stages",
    "faults",
    "objectives",
    "kind",
    "service",
    "at",
    "duration",
    "warmup",
    "during",
    "of",
    "for",
    "weight",
    "key",
    "until",
    "signals",
    "groups",
    "budget",
    "score",
    "guards",
    "users",
    "rate",
    "ramp",
    "search",
    "shape",
    "seed",
    "",
    "x",
    "0",
    "use",
    "expect_alert",
    "é\n",
)


def mutated(text: str, data: Any, seed: int) -> str:
    """One mutation of an experiment: of its ``text``, or of its ``data`` written as JSON."""
    dice = random.Random(seed)  # noqa: S311 - not for secrets
    if dice.random() < 0.5:
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            text = _cut(text, dice)
        return text
    data = copy.deepcopy(data)
    for _ in range(dice.choice((1, 1, 2, 3))):
        data = _changed(data, dice)
    return json.dumps(data, ensure_ascii=dice.random() < 0.5, indent=dice.choice((None, 2)))


def _cut(text: str, dice: random.Random) -> str:
    start = dice.randrange(len(text) + 1)
    end = min(len(text), start + dice.choice((0, 0, 1, 1, 2, 5, 12, 40)))
    match dice.randrange(5):
        case 0:  # a piece is doubled elsewhere
            at = dice.randrange(len(text) + 1)
            return text[:at] + text[start:end] + text[at:]
        case 1:  # lines change places
            lines = text.splitlines(keepends=True)
            dice.shuffle(lines)
            keep = text.splitlines(keepends=True)
            at = dice.randrange(len(keep))
            keep[at] = lines[at]
            return "".join(keep)
        case 2:  # torn
            return text[:start]
        case _:
            return text[:start] + dice.choice(PIECES) + text[end:]


def _changed(data: Any, dice: random.Random) -> Any:
    holders = list(_holders(data))
    if not holders:
        return dice.choice(VALUES)
    holder = dice.choice(holders)
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    if not keys:
        return data
    key = dice.choice(keys)
    match dice.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[dice.choice(KEYS)] = holder.pop(key)
        case 2 if isinstance(holder, dict):
            holder[dice.choice(KEYS)] = copy.deepcopy(dice.choice(VALUES))
        case 3 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[dice.randrange(len(holder))]))
        case 4:
            donor = dice.choice(holders)
            values = list(donor.values()) if isinstance(donor, dict) else donor
            holder[key] = copy.deepcopy(dice.choice(values)) if values else None
        case _:
            holder[key] = copy.deepcopy(dice.choice(VALUES))
    return data


def _holders(data: Any) -> Iterator[Any]:
    """All dictionaries and lists of ``data``."""
    if isinstance(data, dict | list):
        yield data
        for inner in data.values() if isinstance(data, dict) else data:
            yield from _holders(inner)
