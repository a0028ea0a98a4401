"""Ways in which a file of a run folder can be damaged: torn, foreign, half another. Seeded."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VALUES: tuple[Any, ...] = (None, True, -1, 0, 1.5, 1e308, 2**70, "", "x" * 5000, [], {}, [None])
VALUES = (*VALUES, "\x00\x1b[31m", "<script>", "../..", float("inf"), "NaN", [[1, 2]], {"a": []})


def damage(path: Path, others: list[Path], seed: int) -> str:
    """Damage the file ``path``; says how."""
    dice = random.Random(seed)  # noqa: S311 - not for secrets
    whole = path.read_bytes()
    kinds = ["torn", "empty", "absent", "garbage", "flipped", "foreign", "folder"]
    kinds += ["values"] * 5 if path.suffix in (".json", ".jsonl") else []
    kind = dice.choice(kinds)
    match kind:
        case "torn":
            path.write_bytes(whole[: dice.randrange(len(whole) + 1)])
        case "empty":
            path.write_bytes(b"")
        case "absent":
            path.unlink()
        case "garbage":
            path.write_bytes(dice.randbytes(dice.choice((1, 100, 5000))))
        case "flipped":
            at = dice.randrange(len(whole))
            path.write_bytes(whole[:at] + dice.randbytes(1) + whole[at + 1 :])
        case "foreign":
            path.write_bytes(dice.choice(others).read_bytes())
        case "folder":
            path.unlink()
            path.mkdir()
        case _:
            path.write_text(_other_values(whole.decode(), path.suffix == ".jsonl", dice))
    return kind


def _other_values(text: str, lines: bool, dice: random.Random) -> str:
    records = [json.loads(line) for line in text.splitlines()] if lines else [json.loads(text)]
    index = dice.randrange(len(records))
    holders = list(_holders(records[index]))
    holder = dice.choice(holders) if holders else None
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder or ())))
    if holder is not None and keys:
        key = dice.choice(keys)
        if dice.random() < 0.25:
            del holder[key]
        else:
            holder[key] = dice.choice(VALUES)
    return "\n".join(map(json.dumps, records)) + "\n"


def _holders(data: Any) -> Iterator[Any]:
    if isinstance(data, dict | list):
        yield data
        for inner in data.values() if isinstance(data, dict) else data:
            yield from _holders(inner)
