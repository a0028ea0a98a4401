"""Arguments that make no sense: one clear sentence and exit code 2 or 3; never a traceback."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from conftest import ROOT

from runner.cli import app

VALUES = (
    "",
    " ",
    "x" * 10_000,
    "é" * 200,
    "-1",
    "9" * 30,
    "1e400",
    "nan",
    "fifo",
    "socket",
    "folder",
    "file",
    "loop",
    "binary",
    "file/x",
    "none/x",
    "a\nb\x1b[31m\x07\u202e",
    "\udcff",
    "<script>",
    "%s{{7*7}}$(id)",
    "http://u:p@h:99999/",
)
GIVEN: dict[str, tuple[str, ...]] = {
    "validate": ("normal",),
    "plan": ("normal",),
    "compare": ("latest", "latest"),
    "reaper": ("-n", "x"),
    "role": (),
    "import": ("file",),
    "export": ("normal",),
    "list": (),
    "evaluate": (),
    "report": (),
    "series": (),
    "history": (),
    "heal": (),
    "schema": (),
}
"""Commands that touch nothing, and what makes each of them whole."""

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("silly")
    (folder / "experiments").mkdir()
    shop = (ROOT / "experiments" / "normal.yaml").read_text(encoding="utf-8")
    (folder / "experiments" / "normal.yaml").write_text(shop, encoding="utf-8")
    (folder / "locustfiles").symlink_to(ROOT / "locustfiles")
    (folder / "folder").mkdir()
    (folder / "file").write_text("x: [\n", encoding="utf-8")
    (folder / "binary").write_bytes(b"\xff\xfe\x00name")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(folder / "socket"))
    return folder


def lines_of(name: str) -> Iterator[list[str]]:
    """Each option and argument of a command, given each of the values."""
    command = app.cli.get_command(click.Context(app.cli), name)
    assert command is not None
    given = list(GIVEN[name])
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.is_flag:
            continue
        for value in VALUES:
            if isinstance(parameter, click.Option):
                yield [name, *given, parameter.opts[-1], value]
            else:
                rest = given if given[:1] == ["-n"] else given[1:]
                yield [name, value, *rest]


@pytest.mark.parametrize("name", list(GIVEN))
def test_nonsense_is_refused_in_a_sentence(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Goal: no bug, no hang, no silence. Method: every option and argument, given nonsense."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "100")
    for argv in lines_of(name):
        with pytest.raises(SystemExit) as ended:
            app.main(argv)
        code = int(ended.value.code or 0)
        out, err = capfd.readouterr()
        about = f"{[word[:40] for word in argv]}: {code} {err[:300]}"
        assert code in (0, 1, 2, 3), about
        assert code < 2 or err.strip(), about
        assert "Traceback" not in err, about
        assert not CONTROLS.search(out + err), about
        assert len(err) < 6000, about
