"""The open model's pool of users: who gets an arrival, who waits, and what is counted.

Real users of Locust in real greenlets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hall import (
    Hall,
    SequentialTaskSet,
    StopUser,
    TaskSet,
    constant,
    hold_tasks,
    intended,
    opened,
    quick,
    settle,
    stay,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.load.recorder import Tally
from runner.model.histogram import bucket_of

Open = Callable[..., Hall]


@pytest.fixture
def hall() -> Iterator[Open]:
    """Makes a pool, and clears everything away."""
    with ExitStack() as stack:
        yield lambda *args, **more: stack.enter_context(opened(*args, **more))


def test_an_arrival_goes_to_the_one_who_worked_last(hall: Open) -> None:
    """Goal: his connection is warm. Method: two idle users, one after the other gets three."""
    one = hall(quick)
    one.warm(2)
    for due_s in (1.0, 2.0, 3.0):
        one.arrive(due_s)
    assert one.log in ([0, 0, 0], [1, 1, 1])
    assert one.sums == {"offered": 3, "started": 3, "completed": 3}
    assert (one.pool.busy, one.members) == (0, 2)


def test_users_are_started_up_to_the_bound_and_then_arrivals_wait(hall: Open) -> None:
    one = hall(stay, size=2)
    for due_s in (1.0, 1.1, 1.2, 1.3):
        one.arrive(due_s)
    assert (len(one.users), one.pool.busy, one.log) == (2, 2, [0, 1])
    assert one.sums == {"offered": 4, "started": 2}
    one.now_s = 2.5
    one.open()
    # The one who came free takes the oldest of those that waited.
    assert one.sums == {"offered": 4, "started": 3, "waited": 1, "completed": 1}
    one.open(1)
    assert one.sums == {"offered": 4, "started": 4, "waited": 2, "completed": 2}


def test_arrivals_are_counted_in_the_second_in_which_it_happens(hall: Open) -> None:
    one = hall(stay, size=1)
    one.arrive(1.5)
    one.arrive(1.75)
    one.now_s = 4.5
    one.open()
    one.now_s = 7.25
    one.open()
    late = {bucket_of(0): 1}
    assert one.recorder.drain().arrivals == {
        1: Tally(offered=2, started=1, late_us=late),
        4: Tally(started=1, waited=1, completed=1),
        7: Tally(completed=1),
    }


def test_what_waited_for_too_long_is_given_up(hall: Open) -> None:
    """Bound of 2 s: exactly so old is too old; the younger one stays."""
    one = hall(stay, size=1, max_wait_s=2.0)
    for due_s in (1.0, 1.25, 1.5):
        one.arrive(due_s)
    one.arrive(3.25)
    assert one.sums == {"offered": 4, "started": 1, "dropped": 1}
    one.pool.drop_old(3.5)
    assert one.sums["dropped"] == 2
    one.open()
    assert one.sums == {"offered": 4, "started": 2, "waited": 1, "dropped": 2, "completed": 1}


def test_without_patience_nothing_waits(hall: Open) -> None:
    one = hall(stay, size=1, max_wait_s=0.0)
    one.arrive(1.0)
    one.arrive(1.1)
    assert one.sums == {"offered": 2, "started": 1, "dropped": 1}


def test_at_the_end_all_that_waits_is_given_up(hall: Open) -> None:
    one = hall(stay, size=1)
    for due_s in (1.0, 1.1, 1.2):
        one.arrive(due_s)
    one.pool.drop_all()
    one.open()
    assert one.sums == {"offered": 3, "started": 1, "dropped": 2, "completed": 1}


def test_lateness_is_the_generators_own_and_waiting_is_not(hall: Open) -> None:
    """Goal: two figures. Method: one start late by 30 ms, one that waited for a user for 1 s."""
    one = hall(stay, size=1)
    one.warm(1)
    one.arrive(1.0, late_s=0.03)
    one.arrive(1.5)
    one.now_s = 2.5
    one.open()
    total = one.total
    assert total.late_us == {bucket_of(30_000): 1}
    assert (total.started, total.waited) == (2, 1)


def test_a_user_who_logs_in_first_is_not_the_generators_lateness(hall: Open) -> None:
    """Goal: two figures. Method: a user is started for the first arrival, and takes 0.3 s."""
    one = hall(quick)
    one.kind.on_start = stay
    one.arrive(1.0)
    one.now_s = 1.3
    one.open()
    one.arrive(2.0)
    total = one.total
    assert (total.started, total.waited, total.late_us) == (2, 1, {bucket_of(0): 1})


def test_the_first_request_of_an_arrival_knows_when_it_was_due(hall: Open) -> None:
    def tell(user: Any) -> None:
        user.hall.log.append((intended(), intended()))

    one = hall(tell)
    one.warm(1)
    one.arrive(1.5, late_s=0.25)
    assert one.log == [((1.5, 250_000), None)]
    assert intended() is None


def test_requests_before_an_arrival_have_no_intended_start(hall: Open) -> None:
    one = hall(quick)
    one.kind.on_start = lambda self: self.hall.log.append(intended())
    one.warm(1)
    assert one.log == [None]


@pytest.mark.parametrize("called", [False, True], ids=["idle", "called"])
def test_a_user_who_is_ended_takes_no_arrival_with_him(hall: Open, called: bool) -> None:
    """Goal: nothing is lost unseen. Method: end him while idle, or between call and answer."""
    one = hall(quick)
    one.warm(1)
    if called:
        one.pool.arrive(0.0)
    one.users[0].greenlet.kill(block=False)
    settle()
    one.arrive(1.0)
    if called:
        # He had begun, or it was given up: whichever came first.
        assert one.sums["offered"] == 2
        assert one.sums["started"] + one.sums.get("dropped", 0) == 2
    else:
        assert one.log == [1]
        assert one.sums == {"offered": 1, "started": 1, "completed": 1}


def test_a_user_who_is_asked_to_stop_gives_his_arrival_up(hall: Open) -> None:
    one = hall(quick)
    one.warm(1)
    one.pool.arrive(0.0)
    one.users[0]._state = "stopping"
    settle()
    assert one.sums == {"offered": 1, "dropped": 1}
    assert one.users[0].greenlet.dead


def test_a_task_that_fails_is_over_and_its_user_goes_on(hall: Open) -> None:
    def fail(user: Any) -> None:
        quick(user)
        raise ValueError("mistake")

    one = hall(fail)
    one.warm(1)
    one.arrive(1.0)
    one.arrive(2.0)
    assert one.log == [0, 0]
    assert one.sums == {"offered": 2, "started": 2, "completed": 2}
    assert one.pool.busy == 0


def test_a_user_who_leaves_makes_room_for_another(hall: Open) -> None:
    def leave(user: Any) -> None:
        quick(user)
        raise StopUser

    one = hall(leave, size=1)
    one.arrive(1.0)
    assert one.sums == {"offered": 1, "started": 1, "completed": 1}
    one.sweep()
    one.arrive(2.0)
    assert one.log == [0, 1]


def test_a_user_without_tasks_does_not_keep_everybody_else_from_running(hall: Open) -> None:
    """Goal: a mistake in a locustfile freezes nothing. Method: he fails, and waits; we go on."""
    one = hall(quick)
    one.kind.tasks = []
    errors: list[BaseException] = []
    events: Any = one.environment.events
    events.user_error.add_listener(lambda exception, **_: errors.append(exception))
    one.arrive(1.0)
    assert len(errors) == 1
    assert one.sums == {"offered": 1}


def test_a_user_who_waits_before_he_begins_is_there_at_once(hall: Open) -> None:
    """Goal: whoever is started because all are busy is not late by a wait of the closed model."""
    one = hall(quick)
    one.kind.on_start = lambda self: self.wait()
    one.arrive(1.0)
    assert one.log == [0]


class Steps(SequentialTaskSet):
    """Three arrivals' work, one after the other, and back."""

    user: Any

    def one(self) -> None:
        self.user.hall.log.append("one")

    def two(self) -> None:
        self.user.hall.log.append("two")

    def three(self) -> None:
        self.user.hall.log.append("three")
        self.interrupt()  # type: ignore[no-untyped-call]

    tasks = [one, two, three]  # noqa: RUF012


class Nested(TaskSet):
    """A set within a set, with a wait of its own that nobody waits for."""

    user: Any

    wait_time = constant(3600)
    tasks = [Steps]  # noqa: RUF012

    def on_start(self) -> None:
        self.user.hall.log.append("in")


@pytest.mark.parametrize(("kind", "before"), [(Steps, []), (Nested, ["in"])])
def test_each_task_of_a_set_is_an_arrivals_work(hall: Open, kind: Any, before: list[str]) -> None:
    one = hall(kind)
    one.warm(1)
    steps = []
    for due_s in range(4):
        one.arrive(float(due_s))
        steps.append(one.log[len(before) :])
    assert one.log[: len(before)] == before
    assert steps == [
        ["one"],
        ["one", "two"],
        ["one", "two", "three"],
        ["one", "two", "three", "one"],
    ]
    assert one.sums == {"offered": 4, "started": 4, "completed": 4}


def test_a_task_that_thinks_is_left_to_think(hall: Open) -> None:
    """Goal: only the wait between tasks is the schedule's. Method: a wait within one."""

    class Thinks(TaskSet):
        user: Any
        wait_time = constant(3600)

        def think(self) -> None:
            self.user.hall.log.append("thinks")
            self.wait()  # type: ignore[no-untyped-call]
            self.user.hall.log.append("never")

        tasks = [think]  # noqa: RUF012

    one = hall(Thinks)
    one.warm(1)
    one.arrive(1.0)
    assert one.log == ["thinks"]
    assert (one.pool.busy, one.sums) == (1, {"offered": 1, "started": 1})


def test_what_was_held_is_as_before_when_it_is_over() -> None:
    before = TaskSet.execute_next_task, TaskSet.wait
    undo = hold_tasks(Hall(quick).pool)
    assert TaskSet.execute_next_task is not before[0]
    undo()
    assert (TaskSet.execute_next_task, TaskSet.wait) == before


steps = st.lists(
    st.one_of(
        st.just(("arrive", 0)),
        st.just(("arrive unseen", 0)),
        st.tuples(st.just("finish"), st.integers(0, 9)),
        st.tuples(st.just("kill"), st.integers(0, 9)),
        st.just(("sweep", 0)),
        st.just(("wait", 0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(1, 4))
def test_every_arrival_is_started_or_given_up(steps: list[tuple[str, int]], size: int) -> None:
    """Goal: the counts are a ledger. Method: any mixture of arrivals, answers, deaths, pauses."""
    with opened(stay, size, max_wait_s=2.0) as one:
        for what, number in steps:
            alive = [user for user in one.users if not user.greenlet.dead]
            if what == "arrive":
                one.arrive(one.now_s)
            elif what == "arrive unseen":
                one.pool.arrive(one.now_s)
            elif what == "finish" and one.doors:
                one.open(number % len(one.doors))
            elif what == "kill" and alive:
                alive[number % len(alive)].greenlet.kill(block=False)
            elif what == "sweep":
                one.sweep()
            elif what == "wait":
                one.now_s += 0.75
            assert sum(not user.greenlet.dead for user in one.users) <= one.members <= size
            assert one.pool.busy <= one.members
        one.pool.drop_all()
        one.group.kill()
        settle()
        total = one.total
        assert total.offered == sum(what.startswith("arrive") for what, _ in steps)
        assert total.started + total.dropped == total.offered
        assert total.completed == total.started  # a death ends a task as well
        assert one.pool.busy == 0
