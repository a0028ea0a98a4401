"""Objective sets: put in the place of their name, and mistakes where they were made."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import InvalidFileError, UsageError
from runner.source import load_experiment, objectives_named

EXPERIMENT = """\
name: good
description: A question.
load:
  locustfile: shop.py
  stages: [{duration: 2m, users: 100}]
objectives:
  - traffic > 5/s
  - use: shop
  - latency.p50 < 1s
"""
SET = """\
name: shop
description: Promises.
objectives:
  - errors < 1%
  - {objective: signal.queue < 5, weight: 2}
signals:
  queue: {promql: max(queue_depth)}
groups:
  reads: ["GET /a", "GET /b*"]
budget: {slo: 99.9%}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "locustfiles").mkdir()
    (tmp_path / "locustfiles" / "shop.py").touch()
    (tmp_path / "experiments" / "objectives").mkdir(parents=True)
    return tmp_path / "experiments"


def written(folder: Path, experiment: str = EXPERIMENT, one: str = SET) -> Path:
    (folder / "objectives" / "shop.yaml").write_text(one)
    path = folder / "good.yaml"
    path.write_text(experiment)
    return path


def refused(path: Path) -> str:
    with pytest.raises(InvalidFileError) as caught:
        load_experiment(path)
    return caught.value.message


def test_a_set_stands_where_its_name_stood(folder: Path) -> None:
    source = load_experiment(written(folder))
    experiment = source.experiment
    texts = [objective.objective for objective in experiment.objectives]
    assert texts == ["traffic > 5/s", "errors < 1%", "signal.queue < 5", "latency.p50 < 1s"]
    assert experiment.objectives[2].weight == 2
    assert experiment.signals["queue"].promql == "max(queue_depth)"
    assert experiment.groups == {"reads": ("GET /a", "GET /b*")}
    assert experiment.budget is not None
    assert experiment.budget.slo == 99.9
    assert source.expanded.origins == (0, 1, 1, 2)
    assert source.text == EXPERIMENT


def test_the_checksum_is_of_the_set_as_well(folder: Path) -> None:
    """Goal: two runs by different promises differ. Method: change a set, not the experiment."""
    before = load_experiment(written(folder)).sha256
    assert load_experiment(written(folder)).sha256 == before
    assert load_experiment(written(folder, one=SET.replace("1%", "2%"))).sha256 != before


def test_a_path_names_a_set_too(folder: Path) -> None:
    path = written(folder, EXPERIMENT.replace("use: shop", "use: objectives/shop.yaml"))
    assert len(load_experiment(path).experiment.objectives) == 4


def test_a_mistake_in_a_set_is_placed_in_the_set(folder: Path) -> None:
    said = refused(written(folder, one=SET.replace("errors < 1%", "errors < 1")))
    assert f"{folder}/objectives/shop.yaml:4:5: objectives[0]: the bound '1' of errors" in said
    assert "1 mistake in" in said


def test_a_mistake_after_a_set_keeps_its_own_place(folder: Path) -> None:
    said = refused(written(folder, EXPERIMENT.replace("p50 < 1s", "p50 < 1")))
    assert "good.yaml:9:5: objectives[2]: the bound '1' of latency" in said


def test_what_a_set_asks_for_and_the_experiment_lacks_is_told_at_its_name(folder: Path) -> None:
    one = SET.replace("errors < 1%", "{objective: errors < 1%, stage: 3}")
    said = refused(written(folder, one=one))
    assert (
        "good.yaml:8:10: of the objective set 'shop': there is no stage 3 in this experiment"
        in said
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("use: shop", "use: shp", "8:10: there is no objective set 'shp'; did you mean 'shop'?"),
        ("use: shop", "use: ../../x.yaml", "no objective set '../../x.yaml'; accepted: a path, or"),
        ("- use: shop", "- {use: shop, weight: 2}", "'use' stands alone; drop 'weight'"),
        (
            "- use: shop",
            "- use: shop\n  - use: shop",
            "9:10: the objective set 'shop' is used twice",
        ),
        ("use: shop", "use: 3", "'use' names a set: text"),
        ("use: shop", "use: ''", "'use' names a set: text"),
        ("use: shop", 'use: "a\\0b"', "there is no objective set"),
    ],
)
def test_a_use_that_cannot_be_followed(folder: Path, old: str, new: str, said: str) -> None:
    assert said in refused(written(folder, EXPERIMENT.replace(old, new)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("signals: {queue: {promql: up}}", "signals.queue stands here and in the objective set"),
        ("budget: {slo: 99%}", "'budget' stands here and in the objective set 'shop'"),
    ],
)
def test_two_meanings_of_one_name_are_a_mistake(folder: Path, more: str, said: str) -> None:
    assert said in refused(written(folder, f"{EXPERIMENT}{more}\n"))
    same = f"{EXPERIMENT}budget: {{slo: 99.9%}}\n"
    assert load_experiment(written(folder, same)).experiment.budget is not None


def test_objectives_by_name_are_a_sets_or_an_experiments(folder: Path) -> None:
    written(folder)
    assert len(objectives_named("shop", folder).objectives) == 2
    assert len(objectives_named(str(folder / "objectives" / "shop.yaml"), folder).objectives) == 2
    whole = objectives_named("good", folder)
    assert (whole.name, len(whole.objectives), whole.budget is not None) == ("good", 4, True)
    with pytest.raises(UsageError, match="neither an experiment nor an objective set 'nosuch'"):
        objectives_named("nosuch", folder)
