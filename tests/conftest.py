"""What every test stands on: a clean environment, golden files, and the programs a marker needs.

Not the place for doubles (``runner.testing``) or for anything slow: this file is loaded by every
worker of every test run.

* Each test starts without the caller's settings (``SEATRIAL_*``, ``KUBECONFIG``, proxies, …), in an
  empty home folder, in English and UTC, on a terminal of 100 columns; what it changes in the
  environment or as working folder is put back.
* ``golden("reports/summary.md", text)`` compares with ``tests/golden/reports/summary.md``;
  ``pytest --update-golden`` runs the tests that use it, and rewrites those files instead.
* ``@pytest.mark.kubectl`` and ``@pytest.mark.browser`` skip where the program is not found.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# ``sandbox_info``: one sandbox for all tests that need a mesh; ``background``; and ``folder`` and
# ``run``: the command line called in process.
pytest_plugins = ("sandboxes", "bare_api", "underway", "called")

# How long an example takes is the machine's affair.
settings.register_profile("seatrial", deadline=None)
settings.load_profile("seatrial")

ROOT = Path(__file__).resolve().parents[1]
TESTS = Path(__file__).resolve().parent
GOLDEN = TESTS / "golden"
SIDE_BY_SIDE = (
    *("chaos", "cli", "contract", "signals", "targets"),
    *("load/test_foreign_locustfiles.py", "load/test_host_header.py", "load/test_locust_ends.py"),
    *("load/test_locustfile_habits.py", "load/test_remote_worker.py", "load/test_locust_child.py"),
)
"""Tests of real parts that mostly wait, and may do so two at a time: folders and files."""
ALONE = ("targets/sandbox/test_sandbox_life.py",)
"""Among them, those that start more sandboxes at once than there is room for beside others."""

DIFF_LINES = 80

FOREIGN_PREFIXES = (
    "SEATRIAL_",
    "KUBE",  # KUBECONFIG, KUBERNETES_*
    "LOCUST_",
    "CHAOSTOOLKIT_",
    "PROMETHEUS_",
    "GRAFANA_",
    "OTEL_",
    "GITHUB_",
    "CLICOLOR",
)
FOREIGN_NAMES = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY"),
        *("NO_COLOR", "FORCE_COLOR", "CI", "TARGET_HOST", "PYTHONWARNINGS"),
    }
)
"""Names that steer the product or its libraries, in upper case; proxies are read in both cases."""

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def clean(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return ``environment`` without the caller's settings, with ``home`` as home folder."""
    kept = {
        name: value
        for name, value in environment.items()
        if name.upper() not in FOREIGN_NAMES and not name.upper().startswith(FOREIGN_PREFIXES)
    }
    kept |= {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "100",
        "LINES": "40",
    }
    return kept


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="run only the tests with golden files, and rewrite these files",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        where = item.path.relative_to(TESTS).as_posix()
        if where.startswith(SIDE_BY_SIDE) and where not in ALONE:
            item.add_marker(pytest.mark.side_by_side)
        if item.get_closest_marker("kubectl") and shutil.which("kubectl") is None:
            item.add_marker(pytest.mark.skip(reason="kubectl is not on PATH"))
        if item.get_closest_marker("browser") and not any(map(shutil.which, CHROMIUM_NAMES)):
            item.add_marker(pytest.mark.skip(reason="Chromium is not on PATH"))
    if config.getoption("--update-golden"):
        chosen = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@pytest.fixture(scope="session", autouse=True)
def clean_session(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[None]:
    """Clean the environment before any other fixture, those of a session or module included."""
    before = dict(os.environ)
    wanted = clean(before, tmp_path_factory.mktemp("home"))
    if pytestconfig.pluginmanager.hasplugin("cacheprovider"):
        # Matplotlib lists the fonts of the machine once; an empty home would cost it again.
        wanted.setdefault("MPLCONFIGDIR", str(pytestconfig.cache.mkdir("matplotlib")))
    _put_environment(wanted)
    yield
    _put_environment(before)


@pytest.fixture(autouse=True)
def clean_test(clean_session: None) -> Iterator[None]:
    """Put back the environment and the working folder that a test changed."""
    before, folder = dict(os.environ), Path.cwd()
    yield
    os.chdir(folder)
    _put_environment(before)


def _put_environment(wanted: Mapping[str, str]) -> None:
    current = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    for name in current.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if name != "PYTEST_CURRENT_TEST" and current.get(name) != value:
            os.environ[name] = value


class Golden(Protocol):
    """The type of the ``golden`` fixture."""

    def __call__(self, path: str, actual: object) -> None:
        """Compare ``actual`` with ``tests/golden/<path>``: text as it is, the rest as JSON."""


@pytest.fixture
def golden(pytestconfig: pytest.Config) -> Golden:
    """Compare a text, or any JSON value, with a file that a person has looked at."""
    update = bool(pytestconfig.getoption("--update-golden"))

    def compare(path: str, actual: object) -> None:
        check_golden(GOLDEN / path, golden_text(actual), update=update)

    return compare


def golden_text(actual: object) -> str:
    """Return a text as it is, and anything else as indented JSON with sorted keys."""
    if isinstance(actual, str):
        return actual
    return json.dumps(actual, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def check_golden(file: Path, actual: str, *, update: bool) -> None:
    """Fail with a diff when ``file`` does not hold ``actual``; with ``update``, write it."""
    if update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(actual, encoding="utf-8", newline="")
        return
    name = file.name
    if not file.exists():
        pytest.fail(f"no golden file {name}: look at the output, then run `make golden`")
    with file.open(encoding="utf-8", newline="") as stream:
        expected = stream.read()
    if actual != expected:
        lines = list(
            difflib.unified_diff(
                expected.splitlines(keepends=True),
                actual.splitlines(keepends=True),
                f"golden/{name}",
                "this run",
            )
        )
        cut = [f"… {len(lines) - DIFF_LINES} more lines\n"] if len(lines) > DIFF_LINES else []
        pytest.fail(
            f"{name} is not what it was; if that is meant, run `make golden`\n"
            + "".join(lines[:DIFF_LINES] + cut),
            pytrace=False,
        )
