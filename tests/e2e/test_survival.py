"""Twenty runs that are killed at random moments leave every object as it was.

The conductor, the guardian, the Chaos Toolkit children and the API server are the real ones; load
and metrics are doubles (``survival_runner``). ``make bench-survival`` does the same with whole runs
on sandboxes, three hundred times.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bare_api import BareApi
from chaos_objects import service, virtual_service
from survival_draw import trials_of
from survival_figures import faults_of, kill_of, row, rows_by, table
from survival_kills import KILLS
from survival_trial import Outcome, Sea, Trial, attempt

from runner.chaos.client import KubeCluster
from runner.chaos.objects import CONFIG_MAPS, SERVICES, VIRTUAL_SERVICES

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

TRIALS, SEED, AT_ONCE = 20, 2, 10
FEWEST_IN_PLACE = 5
FAULTS = ("overlap-client", "overlap-marks")
PROGRAM = (sys.executable, str(Path(__file__).with_name("survival_runner.py")))
SERVICE = "payment-api"


def pod(namespace: str, name: str) -> dict[str, Any]:
    """A ready pod with Istio's proxy; nobody runs it."""
    names = ("app", "istio-proxy")
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": SERVICE}},
        "spec": {"containers": [{"name": each, "image": f"{each}:1"} for each in names]},
    }


READY = {
    "phase": "Running",
    "podIP": "127.0.0.1",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [
        {"name": name, "ready": True, "restartCount": 0, "image": "", "imageID": ""}
        for name in ("app", "istio-proxy")
    ],
}


def make_sea(api: BareApi, name: str, folder: Path) -> Sea:
    """A namespace with all that the faults need, and some objects that they must leave alone."""
    cluster = KubeCluster(str(api.kubeconfig), api.target.context)
    api.core.create_namespace({"metadata": {"name": name}})
    for body in (virtual_service(SERVICE), virtual_service("order-api")):
        body["metadata"]["namespace"] = name
        cluster.create(VIRTUAL_SERVICES, body)
    shop = service(SERVICE)
    shop["metadata"]["namespace"] = name
    cluster.create(SERVICES, shop)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    settings["metadata"] = {"name": "settings", "namespace": name}
    cluster.create(CONFIG_MAPS, {**settings, "data": {"key": "value"}})
    for number in (1, 2):
        api.core.create_namespaced_pod(name, pod(name, f"{SERVICE}-{number}"))
        api.core.patch_namespaced_pod_status(f"{SERVICE}-{number}", name, {"status": READY})
    options = (str(api.kubeconfig), api.target.context, name)
    return Sea(name, folder / "none", cluster, name, folder / name, options, program=PROGRAM)


@pytest.fixture(scope="module")
def outcomes(
    bare_api: BareApi, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Outcome]]:
    """Each trial in a namespace of its own, some at a time."""
    folder = tmp_path_factory.mktemp("survival")
    trials = trials_of(TRIALS, SEED, list(KILLS), FAULTS)

    def carry_out(trial: Trial) -> Outcome:
        return attempt(trial, make_sea(bare_api, f"survival-{trial.number}", folder))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield list(pool.map(carry_out, trials))


def test_nothing_stays_broken_however_a_run_is_killed(outcomes: list[Outcome]) -> None:
    """Goal: no residual fault, process or folder. Method: every object 10 s after each kill."""
    harmed = [outcome for outcome in outcomes if not outcome.harmless]
    assert harmed == [], table([*rows_by(kill_of, outcomes), *rows_by(faults_of, outcomes)])
    assert row("all", outcomes).trials == TRIALS
    assert {outcome.trial.kill for outcome in outcomes} == set(KILLS)
    in_place = [outcome for outcome in outcomes if outcome.in_place]
    assert len(in_place) >= FEWEST_IN_PLACE, "the kills met no faults"


def test_the_guardian_also_removes_the_private_folders_of_the_killed(
    outcomes: list[Outcome],
) -> None:
    """Goal: no client certificate stays. Method: folders, where a guardian outlived the kill."""
    kills = ("runner", "both", "both-child-first", "runner-load")
    left = [(o.trial.kill, o.stale) for o in outcomes if o.trial.kill in kills]
    assert {kill for kill, _ in left} == set(kills)
    assert [one for one in left if one[1]] == []


def test_who_is_asked_to_end_says_how_it_ended(outcomes: list[Outcome]) -> None:
    """Goal: healed, and said so. Method: exit codes of the runs that were not killed."""
    # Before the load starts, the program may not be as far as to listen to signals.
    ended = {(o.trial.kill, o.code) for o in outcomes if o.trial.moment_s > 0}
    asked = {one for one in ended if one[0] in ("term", "int", "hup", "runner")}
    assert asked <= {("term", 143), ("int", 130), ("hup", 143), ("runner", -9)}
    assert asked
