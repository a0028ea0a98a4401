"""What ``seatrial serve`` answers: a request's path to a page or a file, and to nothing else.

Read-only, and no sockets: :mod:`runner.reports.webserver` has those. Of the results folder only
reports and comparisons are given away, after all links were followed; never the recording. Who asks
must have reached it under a name of this machine, so that a foreign page cannot (DNS rebinding).
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

from runner.analysis.comparable import Subject
from runner.errors import RecordingError, SeatrialError, UsageError
from runner.ports import Clock
from runner.reports.comparepage import page_of
from runner.reports.livestate import LiveRun, LiveState, Read, newest_under_way
from runner.reports.pages import page
from runner.reports.runindex import render_index
from runner.store import RunDir, Store

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".xml": "application/xml",
    ".md": "text/markdown; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
}
"""Files that are given away, by the end of their names."""

MOST_BYTES = 64 << 20
MOST_WATCHED = 4
FRESH_S = 0.5
"""An answer about a run under way, or the list, is this old at most."""

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,  # Each page has a stricter one of its own.
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^:\[\]]+)(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: bytes
    type: str = TYPES[".html"]
    headers: Mapping[str, str] = field(default_factory=dict)


class _NotThereError(Exception):
    """Nothing is given away under that path."""


@dataclass(slots=True)
class _Watched:
    """A run under way that somebody looks at."""

    live: LiveRun
    seen_s: float = -1.0
    state: LiveState | None = None


class Site:
    """All pages.

    Args:
        store: The results folder.
        clock: Tells the time of a page.
        follow: Gives what reads the record of a run's load as it grows.
        subject: Reads what a comparison needs of a run.
        names: Names and addresses under which it may be asked, beside those of loopback.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        follow: Callable[[RunDir], Read],
        subject: Callable[[RunDir], Subject],
        names: frozenset[str] = frozenset(),
    ) -> None:
        self._store = store
        self._clock = clock
        self._follow = follow
        self._subject = subject
        self._names = frozenset({"localhost", "127.0.0.1", "::1"}) | {n.lower() for n in names}
        self._watched: OrderedDict[str, _Watched] = OrderedDict()
        self._index: tuple[float, bytes] = (-1.0, b"")
        self._work = threading.Lock()

    def answer(self, target: str, host: str | None, *, embedded: bool = False) -> Answer:
        """The answer to a request to read something.

        Args:
            target: Path and query as they were sent.
            host: The header ``Host``; None without one.
            embedded: Whether a page from elsewhere asks for it as a part of its own.
        """
        if embedded:
            return _said(403, "A page from elsewhere asked for this; nothing is given to it.")
        if not self._is_ours(host):
            return _said(403, "This name is not one of this machine's; ask for localhost.")
        path, _, query = target.partition("?")
        try:
            parts = _parts(path)
            # One at a time: who asks much shall not take the machine that makes a load.
            with self._work:
                return self._page(parts, query)
        except (_NotThereError, FileNotFoundError):
            return _said(404, "There is nothing here.")
        except UsageError as error:
            return _said(404, str(error))
        except SeatrialError as error:
            return _said(500, str(error))
        except OSError as error:
            return _said(500, f"It cannot be read: {error.strerror or type(error).__name__}.")

    def _is_ours(self, host: str | None) -> bool:
        match = _HOST.fullmatch(host or "")
        return match is not None and match[1].strip("[]").lower() in self._names

    def _page(self, parts: tuple[str, ...], query: str) -> Answer:
        match parts:
            case () | ("index.html",):
                return Answer(200, self._list())
            case ("-", "live"):
                return self._newest()
            case ("-", "live", experiment, run):
                return self._live(experiment, run, whole=True)
            case ("-", "live", experiment, run, "now"):
                return self._live(experiment, run, whole=False)
            case ("-", "compare"):
                return self._comparison(query)
            case _:
                return self._file(parts)

    # -- pages made on demand --------------------------------------------------------------------

    def _list(self) -> bytes:
        now_s = self._clock.monotonic_s()
        if now_s - self._index[0] > FRESH_S or self._index[0] < 0:
            wall_s = self._clock.wall_s()
            html = render_index(self._store.summaries(wall_s), wall_s, served=True)
            self._index = (now_s, html.encode("utf-8", "replace"))
        return self._index[1]

    def _newest(self) -> Answer:
        newest = newest_under_way(self._store.summaries(self._clock.wall_s()))
        if newest is None:
            return _made(page("live.html.j2", served=True, doc=None, part=""))
        where = "/".join(quote(part, safe="") for part in newest.folder.split("/"))
        return _said(302, "The run under way.", Location=f"/-/live/{where}")

    def _live(self, experiment: str, run: str, *, whole: bool) -> Answer:
        folder = self._run(experiment, run)
        state = self._state(folder)
        if not whole:
            return _made(page("_live.html.j2", served=True, doc=state))
        part = "/".join(quote(one, safe="") for one in ("-", "live", experiment, run, "now"))
        html = page("live.html.j2", scripts=("live.js",), served=True, doc=state, part=f"/{part}")
        return _made(html)

    def _state(self, folder: RunDir) -> LiveState:
        key = str(folder.path)
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched(LiveRun(folder, self._follow(folder)))
        self._watched.move_to_end(key)
        while len(self._watched) > MOST_WATCHED:
            self._watched.popitem(last=False)
        now_s = self._clock.monotonic_s()
        if watched.state is None or now_s - watched.seen_s > FRESH_S:
            watched.state, watched.seen_s = watched.live.look(self._clock.wall_s()), now_s
        return watched.state

    def _run(self, experiment: str, name: str) -> RunDir:
        """The run in a folder right below that of its experiment, and nowhere else."""
        path = self._store.root / experiment / name
        real = self._below_root(path)
        if len(real.parts) != 2 or not (path / "plan.json").is_file():
            raise _NotThereError
        return RunDir(self._store.root.resolve() / real)

    def _comparison(self, query: str) -> Answer:
        asked = parse_qs(query, max_num_fields=4)
        names = [asked.get(key, [""])[0] for key in ("a", "b")]
        if not all(re.fullmatch(r"[\w.-]{1,120}", name) for name in names):
            raise UsageError("a comparison takes two runs", accepted="/-/compare?a=RUN&b=RUN")
        runs = [self._by_id(name) for name in names]
        if runs[0].path == runs[1].path:
            raise UsageError(f"both names mean one run, {runs[0].run_id}", accepted="two runs")
        both = (runs[0], runs[1])
        subjects = (self._subject(both[0]), self._subject(both[1]))
        html = page_of(both, subjects, (self._href(both[0]), self._href(both[1])), served=True)[1]
        return _made(html)

    def _by_id(self, run_id: str) -> RunDir:
        found = [run for run in self._store.runs() if run.run_id == run_id]
        if len(found) != 1:
            raise UsageError(f"there is no run {run_id!r}", accepted="the id of a run in the list")
        return found[0]

    @staticmethod
    def _href(run: RunDir) -> str:
        if not run.page_path.is_file():
            return ""
        parts = (run.path.parent.name, run.path.name)
        return "/" + "/".join(quote(part, safe="") for part in parts) + "/report/index.html"

    # -- files -----------------------------------------------------------------------------------

    def _below_root(self, path: Path) -> Path:
        """Where ``path`` really is below the results folder, with all links followed."""
        try:
            return path.resolve(strict=True).relative_to(self._store.root.resolve())
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle
            raise _NotThereError from error

    def _file(self, parts: tuple[str, ...]) -> Answer:
        path = self._store.root.joinpath(*parts)
        real = self._below_root(path)
        of_report = len(real.parts) > 3 and real.parts[2] == "report"
        of_comparison = len(real.parts) == 2 and real.parts[0] == "compare"
        kind = TYPES.get(real.suffix)
        file = self._store.root.resolve() / real
        if not (of_report or of_comparison) or kind is None or not file.is_file():
            raise _NotThereError
        with file.open("rb") as opened:
            body = opened.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise RecordingError(f"{real.name} is too large to be shown here")
        return Answer(200, body, kind)


def _parts(path: str) -> tuple[str, ...]:
    """The folders and the file of a path, each decoded once.

    Raises:
        _NotThereError: When one could lead elsewhere, or is hidden.
    """
    if not path.startswith("/"):
        raise _NotThereError
    parts = tuple(unquote(part, errors="surrogateescape") for part in path[1:].split("/"))
    if parts[-1] == "":
        parts = parts[:-1]
    for part in parts:
        if not part or part.startswith(".") or re.search(r"[/\\\x00-\x1f]", part):
            raise _NotThereError
    return parts


def _made(html: str) -> Answer:
    return Answer(200, html.encode("utf-8", "replace"))


def _said(status: int, text: str, **headers: str) -> Answer:
    return Answer(
        status, f"{text}\n".encode("utf-8", "replace"), "text/plain; charset=utf-8", headers
    )
