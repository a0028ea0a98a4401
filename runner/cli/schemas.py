"""``schema``: the JSON Schemas of the files that people write, and of those that runs leave."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import click

SCHEMAS = {
    "experiment": "runner.model.experiment:Experiment",
    "objectives": "runner.model.objectiveset:ObjectiveSet",
    "config": "runner.model.target:Config",
    "evaluation": "runner.model.evaluation:Evaluation",
    "report": "runner.reports.document:Document",
    "comparison": "runner.model.comparison:Comparison",
}
"""Kind of file to the model that reads it, or writes it."""

OUTPUTS = ("evaluation", "report", "comparison")
"""Those that are left: ``evaluation.json``, ``report/report.json``, ``compare -o json``."""


@click.command("schema")
@click.argument("kind", type=click.Choice(list(SCHEMAS)), default="experiment")
def schema_command(kind: str) -> None:
    """Print the JSON Schema of a kind of file, for editors and for programs.

    \b
    Example:
      seatrial schema > docs/experiment.schema.json
    """
    click.echo(schema_text(kind), nl=False)


def schema_text(kind: str) -> str:
    """The JSON Schema of the files of a ``kind``; see :data:`SCHEMAS`."""
    module, _, name = SCHEMAS[kind].partition(":")
    model = getattr(import_module(module), name)
    written = kind in OUTPUTS
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True, mode="serialization" if written else "validation"),
    }
    if written:
        _open_up(schema)
        version = schema["properties"]["schema_version"]
        version["const"] = version.pop("default")
    if kind in ("experiment", "objectives"):
        _write_forms_of_objectives(schema, with_sets=kind == "experiment")
    _write_default_durations(schema)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _open_up(schema: Any) -> None:
    """Let readers expect more keys than there are: within one version, some may be added."""
    if isinstance(schema, dict):
        if schema.get("additionalProperties") is False:
            del schema["additionalProperties"]
        for inner in schema.values():
            _open_up(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _open_up(inner)


def _write_default_durations(schema: Any) -> None:
    """A default is shown as the file would spell it: ``10s``, not 10.0."""
    from runner.model.units import format_duration

    if isinstance(schema, dict):
        if schema.get("type") == "string" and isinstance(schema.get("default"), float):
            schema["default"] = format_duration(schema["default"])
        for inner in schema.values():
            _write_default_durations(inner)


def _write_forms_of_objectives(schema: dict[str, Any], *, with_sets: bool) -> None:
    """All that an entry of ``objectives`` can be, beside the long form; and where it holds."""
    long = schema["$defs"]["Objective"]
    long.pop("required", None)
    long["anyOf"] = [{"required": ["objective"]}, {"required": ["expect_alert"]}]
    use = {"type": "string", "description": "Objective set: a name in objectives/, or a path."}
    used = {
        "type": "object",
        "properties": {"use": use},
        "required": ["use"],
        "additionalProperties": False,
    }
    objectives = schema["properties"]["objectives"]
    objectives["items"] = {
        "anyOf": [
            {"type": "string", "examples": ["latency.p95 < 500ms", "errors < 0.1%"]},
            objectives["items"],
            *([used] if with_sets else []),
        ]
    }
    during = long["properties"]["during"]
    during.pop("type", None)
    spans = {"type": "array", "items": {"$ref": "#/$defs/Span"}, "minItems": 1}
    during["anyOf"] = [{"$ref": "#/$defs/Span"}, {"const": "all"}, spans]
    schema["$defs"]["Span"] = during.pop("items")
