"""The page in a real browser: what a reader sees, what it asks for, and what sticks out."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from html import unescape
from pathlib import Path

import pytest
from conftest import CHROMIUM_NAMES
from voyages import HOSTILE, Voyage, write_run

from runner.reports.write import write_reports
from runner.store import RunDir

pytestmark = pytest.mark.browser

_OWN_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_MEASURE = """<script>
  const wide = document.documentElement.clientWidth;  // without the scroll bar
  const hidden = '.scroll *, .hidden, .strip *, pre, svg *, details:not([open]) *';
  const out = [...document.querySelectorAll('header *, main, main *')]
    .filter(e => e.getBoundingClientRect().right > wide + 1 && !e.matches(hidden))
    .map(e => e.tagName + '.' + e.className);
  document.title = JSON.stringify({more: document.documentElement.scrollWidth - wide, out: out});
</script>"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = write_run(
        tmp_path_factory.mktemp("browser"),
        Voyage(
            length_s=60,
            services=("order-api", "payment-api"),
            names={"GET /api/v1/products": HOSTILE, "GET /api/v1/customers": "x" * 400},
            failure_text=HOSTILE,
        ),
    )
    write_reports(run)
    return run


def chromium(page: Path, folder: Path, *options: str) -> str:
    """The answer of a headless Chromium about ``page``; every process of it is gone afterwards."""
    program = next(found for name in CHROMIUM_NAMES if (found := shutil.which(name)))
    command = [
        *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()),
    ]
    return bounded(command, timeout_s=90)


def bounded(command: Sequence[str], timeout_s: float) -> str:
    """Standard output of ``command``, whose whole process group ends with it."""
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        return child.communicate(timeout=timeout_s)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(timeout=10)


def test_a_reader_sees_the_verdict_and_every_objective(run: RunDir, tmp_path: Path) -> None:
    """Goal: what matters is on the page. Method: the text of the browser's own tree."""
    dom = chromium(run.report_dir / "index.html", tmp_path, "--dump-dom")
    text = unescape(re.sub(r"<[^>]+>", " ", dom)).replace("\u00a0", " ")
    evaluation = run.read_evaluation()
    because = evaluation.sentence.partition(": ")[2]
    assert because[0].upper() + because[1:] in " ".join(text.split())
    for finding in evaluation.findings:
        assert finding.title in text
        assert finding.reason in text
    assert "<script>alert" not in dom


def asked_for(page: Path, folder: Path) -> set[str]:
    """Addresses that ``page`` asked the network for; what Chromium wants for itself is left out."""
    log = folder / "net.json"
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND"
    chromium(page, folder, nowhere, f"--log-net-log={log}", "--dump-dom")
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    requests = [event["params"] for event in events if "initiator" in event.get("params", {})]
    return {one["url"] for one in requests if one["initiator"] != "not an origin"}


def test_the_page_makes_no_request(run: RunDir, tmp_path: Path) -> None:
    """Goal: opens from disk, tells nobody. Method: Chromium's own log of its network stack.

    The page's policy would stop a request before the log, so it is taken away first.
    """
    page = tmp_path / "page.html"
    html = (run.report_dir / "index.html").read_text(encoding="utf-8")
    page.write_text(_OWN_POLICY.sub("", html), encoding="utf-8")
    assert asked_for(page, tmp_path) == set()


def test_a_request_would_be_noticed(tmp_path: Path) -> None:
    """Goal: the test above can fail. Method: a page with an image from elsewhere."""
    page = tmp_path / "page.html"
    page.write_text('<img src="http://elsewhere.invalid/x.png">', encoding="utf-8")
    assert asked_for(page, tmp_path) == {"http://elsewhere.invalid/x.png"}


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    voyage = Voyage(length_s=60, rate=50.0, pool=9, stall_s=3.0, services=("order-api",))
    run = write_run(tmp_path_factory.mktemp("open"), voyage)
    write_reports(run)
    return run


@pytest.mark.parametrize(
    ("model", "width"), [("run", 400), ("run", 1000), ("run", 1600), ("open_run", 400)]
)
def test_nothing_sticks_out(
    request: pytest.FixtureRequest, tmp_path: Path, model: str, width: int
) -> None:
    """Goal: no sideways scrolling. Method: a frame of that width measures the page within it."""
    run: RunDir = request.getfixturevalue(model)
    html = (run.report_dir / "index.html").read_text(encoding="utf-8")
    inner = _OWN_POLICY.sub("", html).replace("</body>", f"{_MEASURE}</body>")
    escaped = inner.replace("&", "&amp;").replace('"', "&quot;")
    outer = tmp_path / "frame.html"
    outer.write_text(
        f'<iframe id="f" srcdoc="{escaped}" style="width:{width}px;height:900px;border:0"></iframe>'
        "<script>f.onload = () => document.title = f.contentDocument.title</script>",
        encoding="utf-8",
    )
    dom = chromium(outer, tmp_path, "--window-size=1800,1000", "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    seen = json.loads(unescape(title[1]))
    assert seen == {"more": 0, "out": []}
