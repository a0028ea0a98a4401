"""A heal that nobody has to wait for: in a thread of its own, which does nothing but wait.

What it does is bounded in time. It may be repeated meanwhile: a heal does no harm to another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from runner.ports import HealReport


class HealThread:
    """A :class:`runner.ports.HealJob`.

    Args:
        heal: Heals, within a bound.
    """

    def __init__(self, heal: Callable[[], HealReport]) -> None:
        self._heal = heal
        self._report: HealReport | None = None
        self._error: BaseException | None = None
        # A process that must end does not wait for it.
        self._thread = threading.Thread(target=self._run, name="heal", daemon=True)
        self._thread.start()

    def poll(self) -> HealReport | None:
        if self._error is not None:
            raise self._error
        return self._report

    def _run(self) -> None:
        try:
            self._report = self._heal()
        except BaseException as error:  # noqa: BLE001 - raised where it is looked at
            self._error = error
