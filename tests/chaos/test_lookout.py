"""What a guardian looks at while its run lives: the switch, and the Lease that it renews."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from chaos_fakes import FakeCluster

from runner.chaos.client import ApiRefusalError
from runner.chaos.lookout import Lookout
from runner.chaos.objects import CONFIG_MAPS, LEASES
from runner.model import lock
from runner.testing import EPOCH_S, FakeClock

RUN, OTHER = "2026-01-02T030405Z-ab12", "2026-01-02T030405Z-cd34"


@dataclass
class Post:
    """A lookout, and what it looks at."""

    cluster: FakeCluster = field(default_factory=FakeCluster)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.lookout = Lookout(self.cluster, "shop", RUN, self.clock.monotonic_s, self.clock.wall_s)

    def lease(self, run: str = RUN) -> None:
        body = lock.new_lease(run, "boot/1/7/1", "process 7 on here", lock.LEASE_S, EPOCH_S)
        self.cluster.put(body, kind=LEASES)

    def looks(self, seconds: float) -> list[str]:
        """What it says within ``seconds``, each word once."""
        said: list[str] = []
        until_s = self.clock.now_s + seconds
        while self.clock.now_s < until_s:
            word = self.lookout.look()
            said += [word] if word and word not in said else []
            self.clock.sleep(lock.LOOK_S)
        return said

    def renewed_at_s(self) -> float:
        held = self.cluster.objects["leases"][lock.LEASE]
        return lock.ends_at_s(held) - lock.LEASE_S - EPOCH_S


@pytest.fixture
def post() -> Post:
    return Post()


def test_the_lease_is_renewed_every_ten_seconds(post: Post) -> None:
    post.lease()
    assert post.looks(25) == []
    assert post.cluster.calls.count("replace leases") == 3
    assert post.renewed_at_s() == 20
    held = post.cluster.objects["leases"][lock.LEASE]
    assert lock.annotation(held, lock.RUN) == RUN
    assert held["spec"]["acquireTime"] == "2023-11-14T22:13:20.000000Z"


def test_the_switch_ends_the_run_within_two_seconds_and_says_why(post: Post) -> None:
    assert post.looks(10) == []
    post.cluster.put(lock.new_switch("incident 4711", "ada@ops", EPOCH_S), kind=CONFIG_MAPS)
    assert post.looks(2) == [
        "every run in shop was told to stop: incident 4711 "
        "(set by ada@ops at 2023-11-14 22:13:20 UTC)"
    ]


def test_a_switch_that_kubectl_made_is_heeded_without_a_reason(post: Post) -> None:
    post.cluster.put({"metadata": {"name": lock.SWITCH}}, kind=CONFIG_MAPS)
    assert post.looks(2) == ["every run in shop was told to stop: no reason given (set)"]


def test_a_lease_that_was_deleted_ends_the_run(post: Post) -> None:
    post.lease()
    assert post.looks(12) == []
    del post.cluster.objects["leases"][lock.LEASE]
    (said,) = post.looks(10)
    assert said == "the Lease seatrial in shop was deleted: another run may begin there"


def test_a_lease_that_somebody_took_ends_the_run_and_is_not_given_back(post: Post) -> None:
    post.lease()
    assert post.looks(12) == []
    post.lease(OTHER)
    (said,) = post.looks(10)
    assert said.startswith(f"the Lease seatrial in shop was taken by run {OTHER}, process 7 on ")
    post.lookout.release()
    assert list(post.cluster.objects["leases"]) == [lock.LEASE]


@pytest.mark.parametrize("other", [False, True])
def test_a_lease_that_was_never_held_ends_nothing(post: Post, other: bool) -> None:
    """Goal: a run that may have none goes on. Method: there is none, or it is another's."""
    if other:
        post.lease(OTHER)
    assert post.looks(60) == []
    assert "replace leases" not in post.cluster.calls


def test_an_api_server_that_is_away_for_a_moment_ends_nothing(post: Post) -> None:
    """Goal: blips are borne. Method: ten requests without an answer, then a renewal at once."""
    post.lease()
    post.looks(2)
    post.cluster.refuse = {"read": [0] * 10}
    assert post.looks(20) == []
    assert post.renewed_at_s() == 16


def test_a_lease_that_cannot_be_renewed_in_its_time_is_lost(post: Post) -> None:
    """Goal: whoever may take it is not disturbed. Method: no answer for longer than it holds."""
    post.lease()
    post.looks(2)
    post.cluster.refuse = {"read": [0] * 1000}
    assert post.looks(28) == []
    (said,) = post.looks(10)
    assert "in shop could not be renewed for 30 s: read: no answer" in said


def test_rights_that_lack_end_nothing(post: Post) -> None:
    """Goal: what may not be watched was told before. Method: every request is forbidden, or only
    the renewal."""
    post.lease()
    post.cluster.refuse = {"replace": [403] * 99}
    assert post.looks(60) == []
    post.cluster.refuse = {"read": [403] * 99}
    assert post.looks(60) == []
    post.cluster.refuse = {"read": [403]}
    post.lookout.release()


def test_a_login_that_ran_out_is_renewed(post: Post) -> None:
    """Goal: a day's run keeps its Lease. Method: 401, until somebody logs in anew."""
    post.lease()
    post.looks(2)
    post.cluster.refuse = {"read": [401] * 1000}
    fresh = FakeCluster(objects=post.cluster.objects)
    assert post.looks(10) == []
    post.lookout.reconnect = lambda: fresh
    assert post.looks(60) == []
    assert post.renewed_at_s() > 60


def test_a_lease_is_given_back_and_trouble_with_that_is_told(post: Post) -> None:
    post.lease()
    post.cluster.refuse = {"delete": [500]}
    with pytest.raises(ApiRefusalError):
        post.lookout.release()
    post.lookout.release()
    assert post.cluster.objects["leases"] == {}
