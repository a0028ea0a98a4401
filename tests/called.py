"""The command line called in process, in a folder of its own with the experiments of the module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the module's ``EXPERIMENTS`` (name to text) and a Locust file."""
    monkeypatch.chdir(tmp_path)
    for name in ("experiments", "locustfiles"):
        (tmp_path / name).mkdir()
    (tmp_path / "locustfiles" / "shop.py").touch()
    for name, text in request.module.EXPERIMENTS.items():
        (tmp_path / "experiments" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Calls ``seatrial`` with words; gives exit code, standard output and standard error."""

    from runner.cli import main  # here: every worker of every test run loads this file

    def call(*argv: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(argv))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call
