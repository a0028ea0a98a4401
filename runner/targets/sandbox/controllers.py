"""The sandbox's controllers in one place to import from."""

from __future__ import annotations

from runner.targets.sandbox.autoscaler import run_autoscaler
from runner.targets.sandbox.deployments import run_deployments
from runner.targets.sandbox.endpoints import run_endpoints

__all__ = ["run_autoscaler", "run_deployments", "run_endpoints"]
