"""One Prometheus, asked politely: the door to ``prometheus-api-client``.

Every question has a timeout, all questions of one collection share a deadline, answers are bounded
in size and kept as they came, and what the library drops (warnings, infos) is caught by a hook on
our own session. Whatever goes wrong is a :class:`runner.errors.SignalError`. What the answers mean
is not known here.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.access import base_url, last_cause, obstacle, session_for
from runner.credentials import credentials_for
from runner.errors import RecordingError, SignalError
from runner.model.access import PrometheusAccess
from runner.ports import Clock

if TYPE_CHECKING:
    import requests

MOST_POINTS = 11_000
"""Prometheus refuses a range query with more points per series than this."""

MOST_BYTES = 256 << 20
"""An answer larger than this is refused while it is read."""

_CHUNK = 1 << 16
RETRIES = 2
_BACKOFF = 0.2
_RETRY_ON_STATUS = (429, 502, 503, 504)
_WRONG_QUESTION = (400, 422)
_CONNECT_TIMEOUT_S = 3.0
_OK = 200
_FORBIDDEN = 403


class UnreachableError(SignalError):
    """Prometheus does not answer at all: further questions are pointless."""


class RefusedError(SignalError):
    """Prometheus says that the question is wrong."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One series of an answer.

    Attributes:
        labels: All labels but the metric's name.
        points: ``(unix time, value)``, in order; a value may be NaN or infinite.
    """

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus said to one question.

    Attributes:
        series: Empty when nothing matched; one without labels for a scalar.
        warnings: Its warnings, such as partial results.
        kind: ``vector``, ``matrix``, ``scalar`` or ``string``, as Prometheus calls it.
    """

    series: tuple[Sampled, ...]
    warnings: tuple[str, ...] = ()
    kind: str = "vector"


class PromClient:
    """Questions to one Prometheus, with a deadline over all of them.

    Args:
        access: Where it is, and in whose name it is asked; or its address alone.
        clock: For the deadline.
        timeout_s: Bound of one question.
        total_s: Bound of all questions together, counted from now.
        rawdir: Folder for the answers as they came (gzip) and an ``index.jsonl``; None keeps none.
        retries: How often a question is asked again that did not arrive, or came at a bad time.

    Raises:
        SignalError: When what it is to be asked with cannot be read.
    """

    def __init__(
        self,
        access: PrometheusAccess | str,
        clock: Clock,
        *,
        timeout_s: float,
        total_s: float,
        rawdir: Path | None = None,
        retries: int = RETRIES,
    ) -> None:
        from prometheus_api_client.prometheus_connect import PrometheusConnect
        from urllib3.util.retry import Retry

        self._clock = clock
        self._timeout_s = timeout_s
        self._deadline_s = clock.monotonic_s() + total_s
        self._total_s = total_s
        self._rawdir = rawdir
        self._asked = 0
        self._dead = ""
        self._body = b""
        self._status = 0
        if isinstance(access, str):
            access = PrometheusAccess.model_construct(url=access)
        self._url = base_url(access)
        self._held = credentials_for(access)
        self._headers: Mapping[str, str] = {}
        self._session = session_for(self._held)
        # Streamed, so that the hook reads the body: bounded in time and size.
        self._session.stream = True
        self._session.hooks["response"].append(self._read)
        retry = Retry(
            total=retries,
            read=0,  # Who was too slow once will not be faster when asked again.
            backoff_factor=_BACKOFF,
            status_forcelist=_RETRY_ON_STATUS,
            allowed_methods=None,  # A question is one also when it is long, and comes by POST.
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        self._prometheus = PrometheusConnect(url=self._url, retry=retry, session=self._session)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def query(self, name: str, promql: str, at_s: float | None = None) -> Answer:
        """The value of ``promql`` at one instant.

        Args:
            name: What is asked, for the kept answer's file name.
            promql: An expression; one that gives a matrix gives its raw samples.
            at_s: Unix time; None for Prometheus' now.

        Raises:
            SignalError: When there is no usable answer.
        """
        params = {} if at_s is None else {"time": f"{at_s:.3f}"}
        send = functools.partial(self._prometheus.custom_query, promql, params=dict(params))
        found = self._ask(name, promql, params, send)
        kind = str(json.loads(self._body)["data"].get("resultType", "vector"))
        if kind == "string":
            return Answer((), self._warnings(), kind)
        series = _series([{"metric": {}, "value": found}] if kind == "scalar" else found, promql)
        return Answer(series, self._warnings(), kind)

    def query_range(
        self, name: str, promql: str, start_s: float, end_s: float, step_s: int
    ) -> Answer:
        """The values of ``promql`` from ``start_s`` to ``end_s``, one each ``step_s`` seconds.

        The library rounds both ends to whole seconds; so they are cut to whole ones here, inwards.
        More points than Prometheus gives at once are asked for in pieces and put together.

        Raises:
            SignalError: When there is no usable answer.
        """
        merged: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        warnings: list[str] = []
        for first, last in _pieces(math.ceil(start_s), math.floor(end_s), step_s):
            params = {"start": str(first), "end": str(last), "step": str(step_s)}
            send = functools.partial(
                self._prometheus.custom_query_range,
                promql,
                datetime.fromtimestamp(first, UTC),
                datetime.fromtimestamp(last, UTC),
                str(step_s),
            )
            found = self._ask(name, promql, params, send)
            for one in _series(found, promql):
                merged.setdefault(tuple(sorted(one.labels.items())), []).extend(one.points)
            warnings += [text for text in self._warnings() if text not in warnings]
        series = tuple(Sampled(dict(key), tuple(points)) for key, points in merged.items())
        return Answer(series, tuple(warnings))

    def data(self, name: str, path: str, params: Mapping[str, str]) -> Any:
        """What Prometheus answers at ``path``, other than queries: its ``data``.

        Raises:
            SignalError: When there is no usable answer.
        """
        from prometheus_api_client.exceptions import PrometheusApiClientException

        def send(timeout: tuple[float, float]) -> Any:
            answer = self._session.request(
                "GET",
                f"{self._url}{path}",
                params=dict(params),
                timeout=timeout,
                verify=self._session.verify,
                cert=self._session.cert,
            )
            if answer.status_code != _OK:
                raise PrometheusApiClientException(f"HTTP {answer.status_code}")
            return json.loads(self._body)["data"]

        return self._ask(name, path, dict(params), send)

    # -- asking ------------------------------------------------------------------------------------

    def _ask(self, name: str, promql: str, params: dict[str, str], send: Callable[..., Any]) -> Any:
        import requests
        from prometheus_api_client.exceptions import PrometheusApiClientException
        from urllib3.exceptions import HTTPError

        if self._dead:
            raise UnreachableError(self._dead)
        left_s = self._deadline_s - self._clock.monotonic_s()
        if left_s <= 0:
            raise UnreachableError(
                f"Prometheus at {self._url} took more than {self._total_s:g} s for all answers"
            )
        self._body, self._status, self._headers = b"", 0, {}
        timeout_s = min(self._timeout_s, left_s)
        try:
            return send(timeout=(min(_CONNECT_TIMEOUT_S, timeout_s), timeout_s))
        except SignalError as error:  # What it is to be asked with cannot be read.
            raise self._end(error.message) from error
        except PrometheusApiClientException as error:
            self._stop_at_an_obstacle()
            kind = RefusedError if self._status in _WRONG_QUESTION else SignalError
            raise kind(
                self._held.redacted(f"Prometheus refused {promql}: {self._said()}")
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            self._stop_at_an_obstacle()
            raise SignalError(
                f"{self._url} answered {promql} with something that is not Prometheus' JSON"
            ) from error
        except (requests.RequestException, HTTPError) as error:
            why = self._held.redacted(last_cause(error))
            raise self._end(f"Prometheus at {self._url} does not answer: {why}") from error
        finally:
            self._keep(name, promql, params)

    def _end(self, why: str) -> UnreachableError:
        """There is no point in asking on; nobody asks again."""
        self._dead = why
        return UnreachableError(why)

    def _stop_at_an_obstacle(self) -> None:
        """Nothing if Prometheus itself answered.

        Raises:
            SignalError: When credentials were refused for this question, which others may pass.
            UnreachableError: When there is a login in the way, or nobody knows who asks.
        """
        problem = obstacle(self._held, self._status, self._headers, self._body)
        if problem and self._status == _FORBIDDEN:
            raise SignalError(f"{problem}; it said: {self._said()}")
        if problem:
            raise self._end(problem)

    def _read(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """Hook: read the whole body within the bounds, and put it back for the library."""
        import requests

        deadline_s = min(self._clock.monotonic_s() + self._timeout_s, self._deadline_s)
        chunks: list[bytes] = []
        size = 0
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > MOST_BYTES:
                response.close()
                raise requests.RequestException(f"the answer is larger than {MOST_BYTES} bytes")
            if self._clock.monotonic_s() > deadline_s:
                response.close()
                raise requests.Timeout(f"the answer was not whole after {self._timeout_s:g} s")
        response.raw.release_conn()
        self._body, self._status = b"".join(chunks), response.status_code
        self._headers = dict(response.headers)
        response.raw = io.BytesIO(self._body)

    def _said(self) -> str:
        """Prometheus' own words about its refusal, or the beginning of what came instead."""
        try:
            return self._held.redacted(str(json.loads(self._body)["error"]))
        except (ValueError, KeyError, TypeError):
            body = self._held.redacted_bytes(self._body)[:200]
            text = " ".join(body.decode("utf-8", "replace").split())
            return f"status {self._status}{': ' if text else ''}{text}"

    def _warnings(self) -> tuple[str, ...]:
        record = json.loads(self._body)
        return tuple(self._held.redacted(str(text)) for text in record.get("warnings") or ())

    def _keep(self, name: str, promql: str, params: dict[str, str]) -> None:
        self._asked += 1
        if self._rawdir is None:
            return
        file = f"{self._asked:04d}-{name}.json.gz"
        record = {"file": file, "status": self._status, "query": promql, **params}
        content = gzip.compress(self._held.redacted_bytes(self._body), 6, mtime=0)
        try:
            self._rawdir.mkdir(parents=True, exist_ok=True)
            (self._rawdir / file).write_bytes(content)
            with (self._rawdir / "index.jsonl").open("a", encoding="utf-8") as index:
                index.write(json.dumps(record) + "\n")
        except OSError as error:
            why = error.strerror or error
            raise RecordingError(f"{self._rawdir / file} cannot be written: {why}") from error


def _pieces(first: int, last: int, step: int) -> list[tuple[int, int]]:
    """Ranges of at most ``MOST_POINTS`` points each that continue one grid."""
    length = (MOST_POINTS - 1) * step
    return [(start, min(last, start + length)) for start in range(first, last + 1, length + step)]


def _series(found: Any, promql: str) -> tuple[Sampled, ...]:
    try:
        return tuple(_sampled(item) for item in found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SignalError(f"the answer to {promql} is neither a vector nor a matrix") from error


def _sampled(item: dict[str, Any]) -> Sampled:
    points: Sequence[Any] = item["values"] if "values" in item else [item["value"]]
    labels = {name: value for name, value in item["metric"].items() if name != "__name__"}
    # Python reads Prometheus' "NaN", "+Inf" and "-Inf" as they are meant.
    return Sampled(labels, tuple((float(at_s), float(value)) for at_s, value in points))
