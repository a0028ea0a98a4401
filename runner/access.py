"""The one way to a Prometheus: a session with credentials, certificates, headers and a proxy.

Everybody who asks a Prometheus asks through :func:`session_for` (or :func:`get`), so that there is
one place where tokens are sent. What is asked, and what the answers mean, is not known here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode, urlsplit

from runner.credentials import Credentials, credentials_for
from runner.errors import SignalError
from runner.model.access import ConfigTls, PrometheusAccess
from runner.process import SystemClock
from runner.textfile import read_bounded

if TYPE_CHECKING:
    import requests
    from requests import PreparedRequest

LONGEST_URL = 2000
"""A question with more parameters than this, in characters, is sent by POST: proxies cut URLs."""

MOST_CERTIFICATE_BYTES = 4 << 20
BOUND_S = 5.0
CLOCK = SystemClock()
_CHUNK = 1 << 16
_CONNECTION = re.compile(r"^HTTPS?Connection(Pool)?\(.*?\): ")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered; the body is cut after the bytes that were asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# -- sessions --------------------------------------------------------------------------------------


def session_for(held: Credentials) -> requests.Session:
    """A session that asks in the name of ``held``: it reads tokens anew, and follows no redirect.

    A question whose parameters are too long for a URL is sent by POST. Names of hosts and of users
    in the environment (``.netrc``) are not looked at; its proxies and certificates are.

    Raises:
        SignalError: When a certificate's file is not there.
    """
    import requests
    import urllib3

    access = held.access

    class Session(requests.Session):
        """See :func:`session_for`."""

        def request(self, method: Any, url: Any, **more: Any) -> Any:  # type: ignore[override]
            params = more.get("params")
            if str(method).upper() == "GET" and params and len(urlencode(params)) > LONGEST_URL:
                return super().request("POST", url, **{**more, "params": None, "data": params})
            return super().request(method, url, **more)

        def get_redirect_target(self, resp: Any) -> None:
            """Never: what stands in the headers is for nobody else."""

        def mount(self, prefix: str | bytes, adapter: Any) -> None:
            super().mount(prefix, _named(adapter, tls.server_name) if tls.server_name else adapter)

    tls = _tls(access, held)
    session = Session()
    session.params = dict(access.params)
    session.auth = _Fresh(held)
    session.trust_env = False
    if tls.server_name:
        session.mount("https://", requests.adapters.HTTPAdapter())
    env = os.environ
    bundle = env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE") or True
    if tls.insecure_skip_verify:  # Whoever wrote that knows what it means.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    session.verify = False if tls.insecure_skip_verify else tls.ca_file or bundle
    if tls.cert_file is not None:
        session.cert = (tls.cert_file, tls.key_file) if tls.key_file else tls.cert_file
    session.proxies = _proxies(held)
    return session


def _named(adapter: Any, name: str) -> Any:
    """``adapter``, as one that looks for ``name`` in the server's certificate."""
    from requests.adapters import HTTPAdapter

    class Named(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **more: Any) -> None:
            super().init_poolmanager(*args, **more, server_hostname=name, assert_hostname=name)

    return Named(max_retries=adapter.max_retries)


class _Fresh:
    """Headers for each question, read when it is sent."""

    def __init__(self, held: Credentials) -> None:
        self._held = held

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.update(self._held.headers())
        return request


def _tls(access: PrometheusAccess, held: Credentials) -> ConfigTls:
    """The certificates, their files with whole paths; each is there."""
    if access.http_config is not None:
        given = held.config.tls_config
    else:
        given = ConfigTls() if access.tls is None else ConfigTls(**access.tls.model_dump())
    found = {}
    for name in ("ca_file", "cert_file", "key_file"):
        text = getattr(given, name)
        if text is None:
            continue
        path = held.folder / Path(text).expanduser()
        try:
            read_bounded(path, MOST_CERTIFICATE_BYTES)
        except OSError as error:
            raise SignalError(
                f"the {name} for Prometheus at {access.shown} cannot be read from {path}: "
                f"{error.strerror}",
                hint="see `prometheus:` of the target in seatrial.yaml",
            ) from None
        found[name] = str(path)
    return given.model_copy(update=found)


def _proxies(held: Credentials) -> dict[str, str]:
    """The proxy of the ``http_config``, or those of the environment; none to our own loopback."""
    from requests.utils import get_environ_proxies, should_bypass_proxies

    url = held.access.url
    if held.config.proxy_url is not None:
        proxy = held.config.proxy_url
        userinfo = urlsplit(proxy).password
        held.secrets.update([unquote(userinfo)] if userinfo else [])
        bypass = should_bypass_proxies(url, held.config.no_proxy) if held.config.no_proxy else False
        return {} if bypass else {"http": proxy, "https": proxy}
    if urlsplit(url).hostname in _LOOPBACK:
        return {}  # A proxy would look for itself on its own loopback.
    return dict(get_environ_proxies(url, no_proxy=None))


# -- one question ----------------------------------------------------------------------------------


def get(
    access: PrometheusAccess,
    path: str,
    params: Mapping[str, str],
    *,
    timeout_s: float = BOUND_S,
    most_bytes: int = 65_536,
) -> Reply:
    """One answer to a GET of ``path`` below the address.

    Raises:
        OSError: When there is no answer in time. Its text has no secrets.
        SignalError: When credentials cannot be read, or are not taken, or a login is in the way.
    """
    import requests

    held = credentials_for(access)
    url = f"{base_url(access)}{path}"
    bound_s = timeout_s if access.timeout is None else max(timeout_s, access.timeout)
    with session_for(held) as session:
        try:
            answer = session.request(
                "GET",
                url,
                params=dict(params),
                timeout=bound_s,
                stream=True,
                verify=session.verify,
                cert=session.cert,
            )
            reply = _whole(answer, bound_s, most_bytes)
        except requests.RequestException as error:
            raise OSError(held.redacted(last_cause(error))) from None
    problem = obstacle(held, reply.status, reply.headers, reply.body)
    if problem:
        raise SignalError(problem)
    return reply


def _whole(answer: requests.Response, bound_s: float, most_bytes: int) -> Reply:
    deadline_s = CLOCK.monotonic_s() + bound_s
    body = b""
    while len(body) < most_bytes and (chunk := answer.raw.read1(_CHUNK, decode_content=True)):
        body += chunk
        if CLOCK.monotonic_s() > deadline_s:
            raise TimeoutError(f"the answer was not whole after {bound_s:g} s")
    return Reply(answer.status_code, dict(answer.headers), body[:most_bytes])


def base_url(access: PrometheusAccess) -> str:
    """The address to put a path after: without user and password, which go into a header."""
    return access.shown.rstrip("/")


def obstacle(held: Credentials, status: int, headers: Mapping[str, str], body: bytes) -> str:
    """What stands between us and the answer: refused credentials, a login. Empty if nothing."""
    who, where = held.name, held.access.shown
    if status in (401, 403):
        refused = "does not know who asks" if status == 401 else "does not allow the question"
        return f"Prometheus at {where} {refused} (HTTP {status}); asked with {who}"
    if 300 <= status < 400:
        to = PrometheusAccess.model_construct(url=headers.get("Location", "elsewhere")).shown
        return (
            f"Prometheus at {where} sends elsewhere (HTTP {status} to {to}), perhaps to a login; "
            f"asked with {who}, and redirects are not followed"
        )
    if status == 200 and body.lstrip()[:1] == b"<":
        return (
            f"{where} answered with a web page instead of Prometheus' JSON, perhaps that of a "
            f"login; asked with {who}"
        )
    return ""


def last_cause(error: BaseException) -> str:
    """The innermost reason: the outer ones only say that retries were exhausted."""
    reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(reason, BaseException):
        return last_cause(reason)
    return _CONNECTION.sub("", str(error).split(">: ")[-1]) or type(error).__name__
