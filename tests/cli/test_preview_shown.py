"""How a preview is printed."""

from __future__ import annotations

import pytest
from conftest import Golden

from runner.cli.preview import may_begin, print_preview
from runner.model.experiment import Experiment
from runner.model.plan import Plan, make_plan
from runner.model.preview import FaultPreview, ObjectPreview, PodPreview, Preview

DIFF = """\
--- deployment/product-api
+++ deployment/product-api
@@ -8,7 +8,7 @@
   labels:
     app: product-api
 spec:
-  replicas: 2
+  replicas: 1
   selector:
     matchLabels:
       app: product-api
"""
ROLE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: seatrial
  namespace: shop
rules:
- apiGroups: [apps]
  resources: [deployments]
  verbs: [update]
"""
KILL = FaultPreview(
    id="01-pod-kill",
    seed=7,
    pods=tuple(
        PodPreview(
            name=f"order-api-6d4cf56db6-{tail}",
            uid=f"9f6884b6-23cb-447f-8256-f07c83aba6b{n}",
            node=f"ip-10-0-0-{n}.ec2.internal",
            ready=tail != "wcv4d",
            chosen=tail == "dwtz7",
        )
        for n, tail in enumerate(("dwtz7", "rq2xk", "wcv4d"))
    ),
    changes=(ObjectPreview(subject="pod/order-api-6d4cf56db6-dwtz7", deed="delete"),),
    moments_s=(10.0, 21.5, 30.25),
    notes=("now, poddisruptionbudget/order-api allows 0 pods to go, not 1",),
)
SCALE = FaultPreview(
    id="02-scale",
    changes=(ObjectPreview(subject="deployment/product-api", deed="replace", diff=DIFF),),
)
OK = Preview(target="eu-staging at https://10.0.0.1", namespace="shop", faults=(KILL, SCALE))
REFUSED = OK.model_copy(
    update={
        "faults": (SCALE.model_copy(update={"changes": (), "problem": "there is no deployment"}),),
        "refusals": (
            "missing permissions in shop: update deployments.apps; `seatrial role` prints the Role",
            "2 alerts fire: HighErrorRate, PodsMissing (3 series); to begin all the same: "
            "--ignore-alerts",
        ),
        "notes": ("it looks like production: a run needs --confirm-production eu-staging",),
        "role": ROLE,
    }
)


def plan() -> Plan:
    return make_plan(
        Experiment.model_validate(
            {
                "name": "x",
                "description": "d",
                "load": {"locustfile": "x", "stages": [{"duration": "90s", "users": 1}]},
                "faults": [
                    {
                        "kind": "pod-kill",
                        "service": "order-api",
                        "at": "10s",
                        "duration": "30s",
                        "every": "10s",
                        "jitter": "2s",
                    },
                    {
                        "kind": "scale",
                        "service": "product-api",
                        "at": "50s",
                        "duration": "10s",
                        "replicas": 1,
                    },
                ],
                "objectives": ["errors < 1%"],
            }
        )
    )


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("name", ["begins", "refused"])
def test_a_preview_is_printed_as_agreed(
    name: str,
    columns: int,
    golden: Golden,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Goal: it reads well on narrow and wide terminals. Method: golden files."""
    monkeypatch.setenv("COLUMNS", str(columns))
    print_preview({"begins": OK, "refused": REFUSED}[name], plan())
    golden(f"cli/preview-{name}-{columns}.txt", capsys.readouterr().out)


def test_a_target_that_is_not_up_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    preview = Preview(target="default", why_not="the sandbox 'default' is not up")
    print_preview(preview, plan())
    assert capsys.readouterr().out == "No preview: the sandbox 'default' is not up\n"
    assert may_begin(preview)


def test_what_would_fail_may_not_begin() -> None:
    """Goal: the exit code tells. Method: a refusal, a fault with a problem, and neither."""
    assert may_begin(OK)
    assert not may_begin(REFUSED)
    assert not may_begin(REFUSED.model_copy(update={"refusals": ()}))
    assert not may_begin(OK.model_copy(update={"refusals": ("no",)}))


def test_text_of_a_cluster_does_nothing_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Goal: names are names. Method: an escape sequence and markup in a name and in a diff."""
    change = ObjectPreview(subject="pod/[red]x\x1b[2J", deed="delete")
    bad = ObjectPreview(subject="x", deed="create", diff="+[bold]\x1b[2Jy\n")
    fault = KILL.model_copy(update={"changes": (change, bad), "pods": (), "notes": ()})
    print_preview(OK.model_copy(update={"faults": (fault,)}), plan())
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "pod/[red]x\ufffd[2J would be deleted" in out
    assert "+[bold]\ufffd[2Jy" in out
