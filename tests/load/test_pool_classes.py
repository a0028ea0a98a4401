"""The open model's pool with users of several classes: each has its part of the arrivals."""

from __future__ import annotations

from typing import Any

from hall import Hall, User, opened, quick, stay


def with_classes(one: Hall, *names: str) -> None:
    """Users of several classes, each with the same task, at ``names`` as places."""
    for name in set(names):
        kind: Any = type(name, (User,), dict(vars(one.kind)))
        one.kinds[name] = kind
    one.pool.seat(names)


def kinds_at_work(one: Hall) -> list[str]:
    return [type(one.users[number]).__name__ for number in one.log]


def test_arrivals_are_dealt_to_classes_in_turn_whoever_is_free() -> None:
    """Goal: the mix of classes is the plan's. Method: all are quick: one could do it all."""
    with opened(quick) as one:
        with_classes(one, "A", "B", "A", "C")
        for number in range(12):
            one.arrive(float(number))
        assert kinds_at_work(one) == ["A", "B", "A", "C"] * 3
        assert len(one.users) == 3  # nobody is started while another of the class is free


def test_a_slow_class_keeps_its_part_of_the_arrivals() -> None:
    """Goal: what is slow is not asked less often. Method: A never answers, B at once."""

    def work(user: Any) -> None:
        (stay if type(user).__name__ == "A" else quick)(user)

    with opened(work, max_wait_s=2.0) as one:
        with_classes(one, "A", "B", "A", "B")
        for number in range(12):
            one.arrive(number / 10)
        assert kinds_at_work(one) == ["A", "B", "A", *["B"] * 5]
        assert one.sums == {"offered": 12, "started": 8, "completed": 6}
        one.pool.drop_old(3.5)
        assert one.sums["dropped"] == 4


def test_a_class_has_no_more_users_than_places() -> None:
    with opened(stay) as one:
        with_classes(one, "Only", "A", "A")
        for number in range(9):
            one.arrive(float(number))
        assert sorted(kinds_at_work(one)) == ["A", "A", "Only"]


def test_a_pool_without_places_gives_everything_up() -> None:
    with opened(quick) as one:
        one.pool.seat([])
        one.arrive(1.0)
        assert one.sums == {"offered": 1, "dropped": 1}


def test_a_larger_pool_takes_on_more_users() -> None:
    """A worker was lost: those that are left have its places as well."""
    with opened(stay, size=1) as one:
        one.arrive(1.0)
        one.arrive(1.1)
        assert one.log == [0]
        one.pool.seat(["Doer"] * 3)
        one.arrive(1.2)
        assert (one.log, one.pool.busy) == ([0, 1], 2)
        assert one.sums == {"offered": 3, "started": 2, "waited": 1}
