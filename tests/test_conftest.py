"""The ground that every test stands on holds."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from conftest import ROOT, Golden, check_golden, clean, golden_text

START = Path.cwd()


def test_callers_settings_are_taken_away_and_the_rest_stays() -> None:
    """Goal: no test depends on the caller's shell. Method: clean a made-up environment."""
    found = clean(
        {
            "PATH": "/bin",
            "SEATRIAL_TARGET": "prod",
            "KUBECONFIG": "/k",
            "KUBERNETES_SERVICE_HOST": "h",
            "https_proxy": "p",
            "no_proxy": "*",
            "NO_COLOR": "1",
            "LOCUST_USERS": "9",
            "HOME": "/old",
        },
        Path("/new"),
    )
    assert found == {
        "PATH": "/bin",
        "HOME": "/new",
        "XDG_CONFIG_HOME": "/new/.config",
        "XDG_STATE_HOME": "/new/.local/state",
        "XDG_DATA_HOME": "/new/.local/share",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
        "LINES": "40",
    }


def test_a_test_may_soil_the_environment_1(tmp_path: Path) -> None:
    """Goal: leave a trace for the next test. Method: set a variable and change the folder."""
    os.environ["SEATRIAL_TRACE"] = "1"
    os.chdir(tmp_path)
    assert Path.cwd() == tmp_path


def test_a_test_may_soil_the_environment_2() -> None:
    """Goal: the traces of the test before are gone. Method: look for them."""
    assert "SEATRIAL_TRACE" not in os.environ
    assert Path.cwd() == START
    assert Path.home() != Path(pwd.getpwuid(os.getuid()).pw_dir)


def test_golden_text_sorts_json_and_keeps_text() -> None:
    """Goal: a stable spelling. Method: one value of each sort."""
    assert golden_text("a\r\nb") == "a\r\nb"
    assert golden_text({"b": [1.5], "a": "é"}) == '{\n  "a": "é",\n  "b": [\n    1.5\n  ]\n}\n'


def test_golden_file_is_written_then_compared_byte_for_byte(tmp_path: Path) -> None:
    """Goal: update writes, compare sees every byte. Method: write, compare, change a line end."""
    file = tmp_path / "deep" / "x.txt"
    check_golden(file, "one\ntwo\n", update=True)
    assert file.read_bytes() == b"one\ntwo\n"
    check_golden(file, "one\ntwo\n", update=False)
    with pytest.raises(pytest.fail.Exception, match=r"\+two\r"):
        check_golden(file, "one\ntwo\r\n", update=False)


def test_a_missing_golden_file_fails(tmp_path: Path) -> None:
    """Goal: a comparison with nothing never passes. Method: compare with a file that is absent."""
    with pytest.raises(pytest.fail.Exception, match=r"no golden file x\.txt"):
        check_golden(tmp_path / "x.txt", "", update=False)


def test_golden_fixture_reads_the_tree(golden: Golden, pytestconfig: pytest.Config) -> None:
    """Goal: the fixture finds tests/golden. Method: compare with the file that says what it is."""
    if pytestconfig.getoption("--update-golden"):
        pytest.skip("nothing to rewrite: this file is written by hand")
    readme = (ROOT / "tests" / "golden" / "README.md").read_text(encoding="utf-8")
    golden("README.md", readme)
    with pytest.raises(pytest.fail.Exception, match=r"README\.md is not what it was"):
        golden("README.md", readme + "x")
