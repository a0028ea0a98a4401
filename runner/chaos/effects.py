"""The record of what a fault's child did and saw: JSON lines, each an ``Effect``, as they happen.

Each line is on its way to the disk before the next step is taken, so what a killed child did is
known up to the last step. Without a path nothing is written, for experiments of other people.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from runner.model.faultrecord import Effect, EffectKind

EFFECTS_ENV = "SEATRIAL_EFFECTS"

log = logging.getLogger("chaostoolkit")


def record(what: EffectKind, subject: str, detail: str = "", path: str | None = None) -> Effect:
    """Append an effect of this moment to ``path``, or to the file in ``SEATRIAL_EFFECTS``."""
    effect = Effect(wall_s=time.time(), what=what, subject=subject, detail=detail)
    log.info("%s %s %s", what, subject, detail)
    file = path or os.environ.get(EFFECTS_ENV)
    if file:
        line = effect.model_dump_json() + "\n"
        descriptor = os.open(Path(file), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())  # One write, so that no line is ever half there.
        finally:
            os.close(descriptor)
    return effect
