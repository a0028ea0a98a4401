"""What runs leave is what the published schemas say."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import jsonschema
import pytest
from conftest import ROOT
from voyages import HOSTILE, Voyage, write_run

from runner.model.evaluation import EVALUATION_SCHEMA
from runner.reports.document import DOCUMENT_SCHEMA, build_document

SMALL = ("order-api", "payment-api")
HARM = {"GET /api/v1/products": HOSTILE}
VOYAGES = {
    "failed": Voyage(length_s=40, services=SMALL, delay=True, names=HARM),
    "open, torn": Voyage(length_s=40, rate=50, recorded_s=20, signals=False, state="failed"),
}


@cache
def validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "docs" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("which", VOYAGES)
def test_evaluations_and_reports_are_as_published(which: str, tmp_path: Path) -> None:
    """Goal: a program can rely on them. Method: the files of voyages, and the files in docs/."""
    run = write_run(tmp_path, VOYAGES[which])
    evaluation = json.loads(run.evaluation_path.read_text(encoding="utf-8"))
    document = build_document(run.recording(), run.read_evaluation())
    report = json.loads(document.model_dump_json())
    for kind, written in (("evaluation", evaluation), ("report", report)):
        errors = [f"{e.json_path}: {e.message}" for e in validator(kind).iter_errors(written)]
        assert errors == []


def test_a_schema_is_of_one_version_and_lets_others_add_keys() -> None:
    """Goal: the rule of docs/outputs.md. Method: another version, another key."""
    for kind, version in (("evaluation", EVALUATION_SCHEMA), ("report", DOCUMENT_SCHEMA)):
        schema = validator(kind).schema
        assert schema["properties"]["schema_version"]["const"] == version
        assert 'additionalProperties": false' not in json.dumps(schema)
    found = {"sentence": "s", "valid": True, "verdict": "pass", "run_id": "r", "experiment": "e"}
    good = {**found, "findings": [], "schema_version": EVALUATION_SCHEMA, "later": 1}
    assert validator("evaluation").is_valid(good)
    assert not validator("evaluation").is_valid({**good, "schema_version": EVALUATION_SCHEMA + 1})
    assert not validator("evaluation").is_valid({**good, "verdict": "ok"})
