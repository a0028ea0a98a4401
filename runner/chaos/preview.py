"""Asks a child what the faults of a plan would do to a target as it is now; see ``previewing``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from runner.chaos.environment import child_environment
from runner.errors import TargetError
from runner.model.plan import Plan
from runner.model.preview import FaultPreview
from runner.model.recording import TargetInfo
from runner.private import PrivateFolder, held

BOUND_S = 60.0


def preview_faults(
    plan: Plan, target: TargetInfo, python: str = sys.executable
) -> tuple[FaultPreview, ...]:
    """What each fault of ``plan`` would do if it began now; nothing is changed.

    Args:
        plan: The plan.
        target: A target that is up, with the path of its kubeconfig.
        python: Interpreter that has this package.

    Raises:
        TargetError: When the target does not answer, or not in time.
    """
    if not plan.faults:
        return ()
    asked = {
        "plan": plan.model_dump(mode="json", by_alias=True),
        "target": target.model_dump(),
        "kubeconfig": str(Path(target.kubeconfig).resolve()),
    }
    with (
        PrivateFolder() as private,
        held(private, Path(target.kubeconfig).parent) as descriptors,
    ):
        try:
            done = subprocess.run(
                [python, "-P", "-m", "runner.chaos.previewing"],
                input=json.dumps(asked),
                capture_output=True,
                text=True,
                timeout=BOUND_S,
                env=child_environment(os.environ, target, private),
                cwd=private,
                pass_fds=descriptors,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TargetError(f"the preview on {target.name} did not work: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise TargetError(f"the preview on {target.name} did not work: {last}")
    answers = json.loads(done.stdout)
    return tuple(FaultPreview.model_validate_json(json.dumps(one)) for one in answers)
