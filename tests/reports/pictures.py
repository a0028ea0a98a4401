"""Pictures of the report in a browser, for people to look at: ``python pictures.py FOLDER``.

Five kinds of run, three widths, light and dark, and the pages as they are printed. It is not a
test: what is ugly only eyes can tell.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "reports")]

from conftest import CHROMIUM_NAMES  # noqa: E402
from voyages import HOSTILE, Voyage, write_run  # noqa: E402

from runner.reports.write import write_reports  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (400, 1000, 1600)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
RIGHT_TO_LEFT = "\u202e\u2067שלום\u2069 مرحبا/../../etc/passwd"
PAPER: dict[str, Any] = {"prefer_css_page_size": True, "print_background": True}
CALM = ("latency.p95 < 2s", "errors < 20%", {"objective": "saturation.cpu < 90%", "warn": "30%"})

KINDS = {
    "long": Voyage(length_s=4 * 3600, users=12, delay=True),
    "short": Voyage(length_s=40, users=40, abort=False, objectives=CALM, services=("order-api",)),
    "failed": Voyage(length_s=180, delay=True),
    "invalid": Voyage(length_s=60, recorded_s=20, services=()),
    "hostile": Voyage(
        length_s=60,
        names={
            "GET /api/v1/products": HOSTILE,
            "GET /api/v1/customers": "x" * 10_000,
            "POST /api/v1/orders": RIGHT_TO_LEFT,
        },
        services=("order-api", HOSTILE, RIGHT_TO_LEFT),
        failure_text="y" * 10_000,
        description=HOSTILE + RIGHT_TO_LEFT,
    ),
}


def write_pages(root: Path) -> dict[str, Path]:
    """The page of each kind of run, below ``root``."""
    return {kind: write_reports(write_run(root / kind, one)) for kind, one in KINDS.items()}


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium, and nothing that Playwright would bring along."""
    from playwright.sync_api import sync_playwright

    program = next(found for name in CHROMIUM_NAMES if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            chromium.close()


def opened(chromium: Browser, url: str, **options: Any) -> Page:
    """The page at ``url`` in a window of its own, with what it did written on ``page.told``."""
    page = chromium.new_context(**options).new_page()
    told: list[str] = []
    page.on("console", lambda one: told.append(f"console: {one.text}"))
    page.on("pageerror", lambda one: told.append(f"error: {one}"))
    page.on("dialog", lambda one: told.append(f"dialog: {one.message}"))
    page.on("request", lambda one: told.append(f"request: {one.url}"))
    page.told = told  # type: ignore[attr-defined]
    page.goto(url)
    return page


def take(pages: dict[str, Path], folder: Path) -> None:
    """Write ``KIND-WIDTH-SCHEME.png`` and ``KIND.pdf`` of ``pages`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        for width in WIDTHS:
            for scheme in SCHEMES:
                view = chromium.new_page(
                    viewport={"width": width, "height": 1000}, color_scheme=scheme
                )
                for kind, page in pages.items():
                    view.goto(page.as_uri())
                    target = folder / f"{kind}-{width}-{scheme}.png"
                    view.screenshot(path=target, full_page=True)
                    if (width, scheme) == (1000, "light"):
                        view.pdf(
                            path=folder / f"{kind}.pdf",
                            prefer_css_page_size=True,
                            print_background=True,
                        )
                view.close()


def take_for_readme(pages: dict[str, Path], folder: Path) -> None:
    """Write ``report-KIND-SCHEME.png``: the verdict of a short run, the charts of a long one."""
    with browser() as chromium:
        for scheme in SCHEMES:
            window: Any = {"width": 1500, "height": 1240}
            view = chromium.new_page(viewport=window, color_scheme=scheme)
            view.goto(pages["short"].as_uri())
            _save(view.screenshot(), folder / f"report-short-{scheme}.png")
            view.goto(pages["long"].as_uri())
            view.locator("#timeline").evaluate("one => one.scrollIntoView()")
            chart = view.locator("svg[data-chart=load-latency] + .cursor")
            chart.hover(position={"x": 172, "y": 90})
            view.wait_for_timeout(200)
            _save(view.screenshot(), folder / f"report-long-{scheme}.png")


def _save(picture: bytes, target: Path) -> None:
    """With few colours: flat areas and text need no more, and it is a third of the size."""
    import io

    from PIL import Image

    few = Image.open(io.BytesIO(picture)).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        aim = Path(sys.argv[1])
        done = write_pages(Path(made))
        take(done, aim)
        take_for_readme(done, aim)
