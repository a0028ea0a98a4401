"""Healing what somebody has overwritten, and what has a way back of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chaos_carriers import OTHER, RUN, healed, tag
from chaos_fakes import FakeCluster
from chaos_objects import NAMESPACE, virtual_service

from runner.chaos import owned
from runner.chaos import virtualservice as vs_
from runner.chaos.annotation import Tag
from runner.chaos.heal import Play
from runner.chaos.heal import main as heal_main
from runner.chaos.objects import (
    CONFIG_MAPS,
)

Object = dict[str, Any]

# -- overlapping faults on a VirtualService, and GitOps --------------------------------------------


def two_faults() -> tuple[Object, Tag, Tag]:
    one = tag("01-x", service="payment-api", block=vs_.abort_block(503, 50))
    two = tag("02-y", service="payment-api", block=vs_.delay_block(1.0, 100))
    return vs_.add_fault(vs_.add_fault(virtual_service(), one), two), one, two


@pytest.mark.parametrize("first", ["01-x", "02-y"])
@pytest.mark.parametrize("keeps", ["annotation", "routes"])
def test_who_overwrites_the_object_gets_what_he_wrote(keeps: str, first: str) -> None:
    """Goal: a heal never brings a fault back. Method: half of our marks is dropped by GitOps, which
    also changes a timeout; one of two faults is healed, then the other."""
    both, *_ = two_faults()
    wanted = virtual_service()
    wanted["spec"]["http"][0]["timeout"] = "1s"
    both["spec"]["http"][-1]["timeout"] = "1s"
    if keeps == "annotation":
        both["spec"]["http"] = both["spec"]["http"][-1:]
    else:
        del both["metadata"]["annotations"]
    cluster = FakeCluster().put(both)
    assert healed(cluster, run=RUN, fault=first).left == []
    left = cluster.spec("payment-api")["spec"]["http"]
    names = [route.get("name", "") for route in left]
    other = {"01-x": "02-y", "02-y": "01-x"}[first]
    mine = [] if keeps == "annotation" else [f"seatrial-{RUN.lower()}-{other}-1"]
    assert names == [*mine, ""]
    assert healed(cluster, run=RUN).left == []
    assert cluster.spec("payment-api") == wanted


def test_a_copy_that_somebody_took_away_stays_away_when_another_fault_ends() -> None:
    """Goal: a removal never injects. Method: the user deletes the copies of one fault only."""
    both, one, two = two_faults()
    both["spec"]["http"] = [
        route
        for route in both["spec"]["http"]
        if not str(route.get("name", "")).startswith(two.key)
    ]
    after = vs_.remove_faults(both, {one.key})
    assert after["spec"] == virtual_service()["spec"]
    assert vs_.remove_faults(after, {two.key}) == virtual_service()


def test_a_damaged_annotation_of_two_runs_is_no_reason_to_doubt_a_heal() -> None:
    """Goal: no false alarm. Method: copies of two runs, and half an annotation that names both."""
    both, *_ = two_faults()
    theirs = tag("03-z", OTHER, service="payment-api", block=vs_.delay_block(1.0, 50))
    damaged = vs_.add_fault(both, theirs)
    annotations = damaged["metadata"]["annotations"]
    annotations["seatrial.dev/faults"] = annotations["seatrial.dev/faults"][:-2]
    cluster = FakeCluster().put(damaged)
    assert healed(cluster, run=RUN).left == []
    names = [one.get("name", "") for one in cluster.spec("payment-api")["spec"]["http"]]
    assert names == [f"{theirs.key}-1", ""]
    assert healed(cluster, run=OTHER).left == []
    assert cluster.spec("payment-api") == virtual_service()


# -- rollbacks that are kept elsewhere -------------------------------------------------------------


def test_a_marker_goes_only_when_its_rollbacks_have_been_played() -> None:
    """Goal: deleting the marker undoes nothing. Method: nobody to play them, a player that fails,
    one that works."""
    marker = owned.make(CONFIG_MAPS, NAMESPACE, tag(), {"data": {}})
    name = marker["metadata"]["name"]
    cluster = FakeCluster().put(marker, kind=CONFIG_MAPS)
    (left,) = healed(cluster, run=RUN).left
    assert left == (
        f"configmap/{name} in ecommerce: fault 01-x of run {RUN}: its rollbacks are kept in the "
        f"folder of run {RUN}, where ann@laptop has started it; there: seatrial heal {RUN} (or, "
        f"when it has been undone by hand: kubectl -n ecommerce delete configmap {name})"
    )
    played: list[tuple[str, str]] = []

    def play(problems: list[str]) -> Play:
        def carry_out(run: str, fault: str) -> list[str]:
            played.append((run, fault))
            return problems

        return carry_out

    report = healed(cluster, play(["rollback open-the-gate: refused"]), run=RUN)
    assert "rollback open-the-gate: refused" in report.left[0]
    assert name in cluster.objects["configmaps"]
    played.clear()
    report = healed(cluster, play([]), run=RUN)
    assert (report.left, played) == ([], [(RUN, "01-x")])
    assert cluster.objects["configmaps"] == {}


def test_the_program_plays_rollbacks_of_its_own_run_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Goal: the right folder, or none. Method: markers of two runs, the folder of one, in which
    there is nothing to play."""
    cluster = FakeCluster()
    for run in (RUN, OTHER):
        cluster.put(owned.make(CONFIG_MAPS, NAMESPACE, tag(run=run), {}), kind=CONFIG_MAPS)
    folder = tmp_path / RUN
    argv = ["-n", NAMESPACE, "--all", "--run-folder", str(folder)]
    assert heal_main(argv, lambda kubeconfig, context: cluster) == 5
    left = {said.split(":")[0]: said for said in json.loads(capsys.readouterr().out)["left"]}
    own, other = (
        left[f"configmap/seatrial-{run.lower()}-01-x in ecommerce"] for run in (RUN, OTHER)
    )
    assert "the rollbacks cannot be read from" in own
    assert f"its rollbacks are in the folder of run {OTHER}: seatrial heal {OTHER}" in other
