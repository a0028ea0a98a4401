"""Variables that a plan's activities need are asked for before the load starts."""

from __future__ import annotations

from runner.model.experiment import Experiment
from runner.model.plan import make_plan
from runner.targets.survey import unset


def test_a_missing_variable_is_a_reason_not_to_begin() -> None:
    """Goal: no run that fails halfway. Method: a secret that is set, and one that is not."""
    do = {"type": "action", "name": "do", "provider": {"type": "process", "path": "true"}}
    fault = {"kind": "chaostoolkit", "service": "s", "duration": "10s", "method": [do]}
    needy = fault | {"secrets": {"s": {"t": {"type": "env", "key": "TOKEN"}}}}
    experiment = Experiment.model_validate(
        {
            "name": "x",
            "description": "A question?",
            "load": {"locustfile": "l.py", "stages": [{"duration": "60s", "users": 1}]},
            "faults": [fault | {"at": "5s"}, needy | {"at": "20s"}],
            "objectives": ["errors < 1%"],
        }
    )
    plan = make_plan(experiment)
    assert unset(plan, {"TOKEN"}) == []
    assert unset(plan, {"TOKE"}) == ["02-chaostoolkit needs TOKEN, which the environment lacks"]
