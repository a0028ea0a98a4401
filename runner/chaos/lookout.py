"""What a guardian looks at while its run lives: the switch that stops it, and its Lease.

It renews the Lease, and says in one sentence why the run must end. What it may not read is not
watched; that was told when the target was opened.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from runner.chaos.client import ApiRefusalError, Cluster
from runner.chaos.objects import CONFIG_MAPS, LEASES, Object
from runner.model import lock

log = logging.getLogger(__name__)

LOGGED_OUT, FORBIDDEN, ABSENT, CONFLICT = 401, 403, 404, 409


@dataclass(slots=True)
class Lookout:
    """Looks at the switch and the Lease of one run.

    Attributes:
        cluster: Where.
        namespace: Of the run.
        run: Its id.
        monotonic_s: A clock that never goes back.
        wall_s: Unix time.
        held: Whether the run has been seen to hold the Lease.
        reconnect: Logs in anew, when the login has run out.
    """

    cluster: Cluster
    namespace: str
    run: str
    monotonic_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time
    held: bool = False
    reconnect: Callable[[], Cluster] | None = None
    _renewed_at_s: float = 0.0
    _renew_at_s: float = 0.0

    def look(self) -> str:
        """Why the run must end now; empty when it may go on. Renews the Lease when it is time."""
        if stopped := self._switch():
            return stopped
        if self.monotonic_s() < self._renew_at_s:
            return ""
        self._renew_at_s = self.monotonic_s() + lock.RENEW_S
        return self._lease()

    def _switch(self) -> str:
        try:
            found = self.cluster.read(CONFIG_MAPS, self.namespace, lock.SWITCH)
        except ApiRefusalError as error:
            if error.status not in (FORBIDDEN, ABSENT):
                log.info("the switch: %s", error.message)
            if error.status == LOGGED_OUT and self.reconnect is not None:
                self.cluster = self.reconnect()
            return ""
        return f"every run in {self.namespace} was told to stop: {lock.why_stopped(found)}"

    def _lease(self) -> str:
        try:
            found = self.cluster.read(LEASES, self.namespace, lock.LEASE)
            if lock.annotation(found, lock.RUN) != self.run:
                return self._lost(f"was taken by {lock.who(found)}")
            self._renew(found)
        except ApiRefusalError as error:
            if error.status == ABSENT:
                return self._lost("was deleted")
            if error.status == FORBIDDEN:  # It was made to hold for the whole run.
                return ""
            log.info("the Lease: %s", error.message)
            self._renew_at_s = self.monotonic_s() + lock.LOOK_S
            if self.monotonic_s() - self._renewed_at_s > lock.LEASE_S:
                return self._lost(f"could not be renewed for {lock.LEASE_S:g} s: {error.message}")
        return ""

    def _renew(self, lease: Object) -> None:
        self.held = True
        try:
            self.cluster.replace(LEASES, lock.renewed(lease, self.wall_s()))
        except ApiRefusalError as error:
            if error.status != FORBIDDEN:
                raise
        self._renewed_at_s = self.monotonic_s()

    def _lost(self, how: str) -> str:
        """A Lease that was never seen was never had."""
        if not self.held:
            return ""
        return f"the Lease {lock.LEASE} in {self.namespace} {how}: another run may begin there"

    def release(self) -> None:
        """Delete the Lease, if it is still this run's.

        Raises:
            ApiRefusalError: When that does not work.
        """
        try:
            found = self.cluster.read(LEASES, self.namespace, lock.LEASE)
            if lock.annotation(found, lock.RUN) == self.run:
                self.cluster.delete(LEASES, found)
        except ApiRefusalError as error:
            if error.status not in (FORBIDDEN, ABSENT, CONFLICT):
                raise
