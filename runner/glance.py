"""A glance at a run folder: its few small files as bytes, bounded, and when it last grew.

Never the record of its load. ``store`` knows where things are, :mod:`runner.model.summary` what
they mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from runner.model.summary import RunFiles
from runner.textfile import read_bounded

MOST_BYTES = 32 << 20
"""No manifest, plan or evaluation is larger."""


def glance(
    folder: Path, manifest: Path, plan: Path, evaluation: Path, *, page: Path, growing: Path
) -> RunFiles:
    """What lies in ``folder``.

    Args:
        folder: Of the run.
        manifest: File of its identity and state.
        plan: File of its plan.
        evaluation: File of the verdict.
        page: Page of its report.
        growing: The journal.
    """
    name = f"{folder.parent.name}/{folder.name}"
    try:
        judged = _bytes(evaluation)
        return RunFiles(
            folder=name,
            manifest=_bytes(manifest),
            plan=_bytes(plan),
            evaluation=judged,
            report=page.is_file(),
            touched_s=None if judged is not None else _touched_s((folder, growing)),
        )
    except OSError as error:
        what = Path(error.filename or "?").name
        return RunFiles(folder=name, problem=f"{what} cannot be read: {error.strerror or error}")


def _bytes(path: Path) -> bytes | None:
    """What is in a file; None where there is none."""
    try:
        return read_bounded(path, MOST_BYTES, patience_s=0.0)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _touched_s(paths: Iterable[Path]) -> float:
    """When any of ``paths``, or anything right within a folder of the run, was last written."""
    folder, *_ = known = tuple(paths)
    within = [one for part in folder.glob("*/") for one in (part, *part.glob("*"))]
    return max((one.stat().st_mtime for one in (*known, *within) if one.exists()), default=0.0)
