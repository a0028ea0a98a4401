"""The dead man's handle of a run: a process that heals when the runner is gone.

``python -m runner.chaos.guardian`` is started before the first fault, with the target's address and
the run's folder, and nothing else. Its standard input comes from the runner. While that is open, it
renews the run's Lease, watches the switch that stops all runs, and heals on request; when it ends
without a word, the runner is gone, however it ended, and the guardian heals at once
(:mod:`runner.chaos.aftermath`). It is in a session of its own, and deaf to a terminal's signals.

Lines that it reads: ``heal NUMBER [FAULT]``, ``dismissed`` (all is healed), ``left`` (it is not).
Lines that it writes: JSON objects with ``ready``; or ``word``, why the run must end; or
``healed`` or ``error`` ``to`` a number.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from runner.chaos.aftermath import Aftermath, scope_of
from runner.chaos.client import ApiRefusalError, Cluster, KubeCluster, one_line
from runner.chaos.heal import Scope, heal
from runner.chaos.lookout import Lookout
from runner.errors import SeatrialError
from runner.model.lock import LOOK_S
from runner.private import PREFIX as PRIVATE_PREFIX
from runner.private import remove_stale
from runner.store import RunDir

log = logging.getLogger(__name__)

DISMISSED, LEFT, HEAL = "dismissed", "left", "heal"
End = Literal["dismissed", "left", "gone"]


SAY_AGAIN_LOOKS = 5
"""A word that still holds is said again after so many looks: one may be lost."""

_saying = threading.Lock()
"""Answers and words come from two threads, and a line may take more than one write."""


def say(**line: object) -> None:
    """One line to the runner, whole, if it is still there."""
    rest = (json.dumps(line) + "\n").encode()
    with _saying, contextlib.suppress(OSError):
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]


@dataclass(slots=True)
class Guardian:
    """The guardian of one run.

    Attributes:
        cluster: Where its faults are.
        namespace: Of the run.
        run: The run's folder.
        say: Tells the runner.
    """

    cluster: Cluster
    namespace: str
    run: RunDir
    say: Callable[..., None] = say
    _over: threading.Event = field(default_factory=threading.Event)

    def serve(self, lines: Iterable[str]) -> End:
        """Do what the runner asks, until it says how it ends, or is gone."""
        for line in lines:
            if not line.endswith("\n"):
                break  # A torn line is the last that a killed runner wrote.
            word, _, rest = line.strip().partition(" ")
            if word == HEAL:
                self._heal(*rest.split())
            elif word == DISMISSED:
                return "dismissed"
            elif word == LEFT:
                return "left"
        return "gone"

    def _heal(self, number: str, fault: str = "") -> None:
        # Rollbacks of somebody else's are left to who asks: they may take their time.
        scope = scope_of(self.namespace, self.run, fault)
        try:
            report = heal(self.cluster, scope)
        except SeatrialError as error:
            self.say(to=int(number), error=one_line(error))
        else:
            self.say(to=int(number), healed=asdict(report))

    def keep_lookout(self, lookout: Lookout, every_s: float = LOOK_S) -> None:
        """Look at the switch and the Lease until the end; tell each new word, and now and then."""
        told, since = "", 0
        while not self._over.is_set():
            try:
                word = lookout.look()
            except Exception:  # Whatever it was: the next look may do better.
                log.exception("the lookout failed")
                word = ""
            since = since + 1 if word == told else 0
            if word and since % SAY_AGAIN_LOOKS == 0:
                self.say(word=word)
            told = word
            self._over.wait(every_s)

    def end_lookout(self) -> None:
        self._over.set()


def sandbox_is_gone(kubeconfig: Path) -> bool:
    """Whether the sandbox of this kubeconfig is no more: its folder, or the one who locks it."""
    if not kubeconfig.exists():
        return True
    try:
        descriptor = os.open(kubeconfig.with_name("lock"), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return not kubeconfig.exists()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Guard a run until it is dismissed or healed; 0 when nothing is left."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # Not SIG_IGN, which its own children would inherit.
        signal.signal(number, lambda number, frame: None)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("runner.chaos.looking").setLevel(logging.WARNING)  # It says so each time.
    asked = _parser().parse_args(argv)
    run = RunDir(Path(asked.folder))
    connect = partial(KubeCluster, asked.kubeconfig, asked.context)
    try:
        cluster = connect()
    except SeatrialError as error:
        log.error("%s", one_line(error))  # noqa: TRY400 - one line for the runner
        return error.exit_code
    guardian = Guardian(cluster, asked.namespace, run)
    lookout = Lookout(cluster, asked.namespace, run.run_id, reconnect=connect)
    _warm_up(guardian, run.run_id)
    threading.Thread(target=guardian.keep_lookout, args=(lookout,), daemon=True).start()
    say(ready=True)
    try:
        end = guardian.serve(sys.stdin)
    except Exception:  # Whatever it was: who guards must not end before it has healed.
        log.exception("the runner is not understood any more")
        end = "gone"
    guardian.end_lookout()
    if end == "dismissed":
        return 0
    log.info("the runner %s", "is gone" if end == "gone" else "could not heal")
    healed = Aftermath(
        cluster,
        asked.namespace,
        run,
        killed=end == "gone",
        reconnect=connect,
        is_gone=lambda: asked.sandbox and sandbox_is_gone(Path(asked.kubeconfig)),
    ).make_whole()
    with contextlib.suppress(ApiRefusalError):
        if healed:  # Otherwise nobody should begin there until somebody has looked.
            lookout.release()
    _remove_private()
    return 0 if healed else 5


def _warm_up(guardian: Guardian, run: str) -> None:
    """Make the connection, and learn the versions that the API has: the first heal is fast then."""
    try:
        heal(
            guardian.cluster,
            Scope(guardian.namespace, run=run, fault="none"),
            deadline_s=1.0,
            sleep=lambda seconds: None,
        )
    except SeatrialError as error:
        log.info("not reached yet: %s", one_line(error))


def _remove_private() -> None:
    """Our parent does that, unless it was killed; then its other children were, perhaps."""
    private = Path(os.environ.get("SEATRIAL_PRIVATE", ""))
    if private.name.startswith(PRIVATE_PREFIX):
        shutil.rmtree(private, ignore_errors=True)
        remove_stale(private.parent)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runner.chaos.guardian", description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--context", default="")
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--folder", required=True, help="the run's folder")
    parser.add_argument("--sandbox", action="store_true", help="the target may end with its runner")
    return parser


if __name__ == "__main__":
    sys.exit(main())
