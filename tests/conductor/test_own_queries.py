"""A reader's own queries are tried before any load: what is wrong then is wrong at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_conductor import carry_out, experiment, only_run

from runner.errors import TargetError
from runner.model.guard import Reading
from runner.testing import FakeWorld

SIGNALS = {"busy": {"promql": 'sum(rate(x{ns="$namespace",a=~"b$"}[$range]))'}}
TWO = Reading("ok", (("a=1", 1.0), ("a=2", 2.0)))


def run(world: FakeWorld, root: Path) -> None:
    carry_out(world, root, asked=experiment(signals=SIGNALS))


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        (Reading("refused", why="parse error at char 5"), "parse error at char 5"),
        (TWO, "it gives 2 series, and one is wanted"),
    ],
)
def test_a_query_that_would_tell_nothing_is_refused(
    tmp_path: Path, reading: Reading, why: str
) -> None:
    """Goal: nobody waits for a run to learn of a typing error. Method: two bad answers."""
    world = FakeWorld(answer=lambda *_: reading)
    with pytest.raises(TargetError, match=rf"the signal busy .* would tell nothing: {why}"):
        run(world, tmp_path)
    assert "start" not in world.effects
    assert only_run(tmp_path).read_manifest().state == "failed"


@pytest.mark.parametrize("reading", [Reading("empty", why="no"), Reading("unreachable", why="no")])
def test_no_data_is_no_mistake_yet(tmp_path: Path, reading: Reading) -> None:
    """Goal: before the load there may be nothing. Method: two of no answers."""
    asked: list[str] = []

    def answer(promql: str, _: float) -> Reading:
        asked.append(promql)
        return reading

    run(FakeWorld(answer=answer), tmp_path)
    assert asked == ['sum(rate(x{ns="ecommerce",a=~"b$"}[60000ms]))']
    assert only_run(tmp_path).read_manifest().state == "recorded"
