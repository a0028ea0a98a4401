"""The runner's end of a guardian: the process, and what it says. Loads no client.

What a guardian says is read when somebody looks; nothing here waits, but :meth:`heal` and
:meth:`dismiss`, each with a bound.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from runner.chaos.environment import child_environment
from runner.errors import FaultError
from runner.model.recording import TargetInfo
from runner.ports import HealReport
from runner.private import PREFIX, PrivateFolder, held
from runner.store import RunDir

ANSWER_S = 15.0
"""The guardian's own bound of a heal, and some seconds."""
HEAR_S = 0.02


class GuardianChild:
    """A guardian that is under way: a :class:`runner.ports.Guardian`."""

    def __init__(
        self, process: subprocess.Popen[bytes], private: PrivateFolder, run_id: str, log: Path
    ) -> None:
        self._process = process
        self._private = private
        self._log = log
        self._torn = b""
        self._ready = False
        self._word: str | None = None
        self._asked = 0
        self._answer: dict[str, Any] = {}
        self._asking = threading.Lock()
        """Of who waits for an answer: heals may be asked for from several threads."""
        self._hearing = threading.Lock()
        self.run_id = run_id

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def ready(self) -> bool:
        self._hear()
        return self._ready and self.poll() is None

    def word(self) -> str | None:
        self._hear()
        return self._word

    def heal(self, fault_id: str | None) -> HealReport | None:
        """Heal through the guardian, whose client is loaded; None when it could not, or is late."""
        with self._asking:
            answer = self._ask(fault_id or "") if self.ready() else {}
        report = answer.get("healed")
        if report is None:
            return None
        told = ("removed", "left", "others", "notes")
        return HealReport(**{name: tuple(report.get(name, ())) for name in told})

    def _ask(self, fault: str) -> dict[str, Any]:
        """Its answer to one request to heal; empty when there is none in time."""
        self._asked += 1  # So that a late answer is not taken for one to the next question.
        self._answer = {}
        until_s = time.monotonic() + ANSWER_S
        going = self._tell(f"heal {self._asked} {fault}")
        while going and not self._answer and time.monotonic() < until_s:
            self._hear(HEAR_S)  # In slices: whoever looks meanwhile may have taken it in.
            going = self.poll() is None
        return self._answer

    def dismiss(self, grace_s: float) -> None:
        if not self.ready():  # Nothing was injected under one who is still loading its client.
            self._process.kill()
        with self._asking:
            self._tell("dismissed")
            self._close()
        try:
            self._process.wait(timeout=max(grace_s, 0.02))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=5.0)
        self._private.remove()

    def leave(self) -> None:
        with self._asking:
            self._tell("left")
            self._close()  # Its private folder is its own from now on.

    def tail(self, lines: int) -> str:
        with contextlib.suppress(OSError):
            text = self._log.read_bytes()[-64_000:].decode("utf-8", "replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def _tell(self, line: str) -> bool:
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            return False
        try:
            os.write(pipe.fileno(), (line.strip() + "\n").encode())
        except OSError:
            return False
        return True

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _hear(self, within_s: float = 0.0) -> None:
        """Take in what it has said, or says within ``within_s``. Without that, never blocks."""
        if not self._hearing.acquire(blocking=within_s > 0):
            return  # Who waits for an answer takes in everything.
        try:
            pipe = self._process.stdout
            if pipe is None or pipe.closed or not select.select([pipe], [], [], within_s)[0]:
                return
            said = os.read(pipe.fileno(), 65_536)
            *lines, self._torn = (self._torn + said).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    self._take(json.loads(line))
        finally:
            self._hearing.release()

    def _take(self, said: dict[str, Any]) -> None:
        self._ready = self._ready or bool(said.get("ready"))
        self._word = str(said["word"]) if "word" in said else self._word
        if said.get("to") == self._asked:
            self._answer = said


def start_guardian(run_id: str, target: TargetInfo, folder: Path, python: str) -> GuardianChild:
    """Start the guardian of the run in ``folder``; returns at once.

    Raises:
        FaultError: When it cannot be started.
    """
    log = RunDir(folder.resolve()).log_path("guardian")
    private = PrivateFolder()
    kubeconfig = Path(target.kubeconfig)
    if kubeconfig.parent.name.startswith(PREFIX):  # The run takes it along when it ends.
        kubeconfig = _private_copy(kubeconfig, private.path)
        target = target.model_copy(update={"kubeconfig": str(kubeconfig)})
    argv = [
        *(python, "-P", "-m", "runner.chaos.guardian"),
        *("--kubeconfig", str(Path(target.kubeconfig).resolve())),
        *("--context", target.context, "--namespace", target.namespace),
        *("--folder", str(folder.resolve())),
        *(["--sandbox"] if target.kind == "sandbox" else []),
    ]
    try:
        with held(private.path) as descriptors, log.open("ab") as out:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                env=child_environment(os.environ, target, private.path),
                cwd=private.path,
                start_new_session=True,
                pass_fds=descriptors,
                bufsize=0,
            )
    except OSError as error:
        private.remove()
        raise FaultError(f"the guardian of the run does not start: {error}") from error
    return GuardianChild(process, private, run_id, log)


def _private_copy(kubeconfig: Path, folder: Path) -> Path:
    copy = folder / "kubeconfig"
    copy.touch(0o600)
    copy.write_bytes(kubeconfig.read_bytes())
    return copy
