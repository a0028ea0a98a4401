"""In whose name a Prometheus is asked: tokens and passwords, read for each question, never told.

What was read is remembered for :meth:`Credentials.redacted` alone, which takes it out of whatever
is about to be said or kept. Nothing is asked here.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from runner.errors import InvalidFileError, SeatrialError, SignalError
from runner.model.access import (
    TENANT_HEADER,
    HeldElsewhere,
    HttpConfig,
    PrometheusAccess,
    without_userinfo,
)
from runner.source import load_checked
from runner.textfile import read_bounded
from runner.yamltext import read_yaml

MOST_SECRET_BYTES = 64 * 1024
HIDDEN = "[hidden]"
NOBODY = "no credentials"
_FEWEST_HIDDEN = 4
_TELLING = ("auth", "token", "key", "secret", "cookie", "password", "credential")
"""What the name of a header or a parameter has in it whose value is nobody's business."""
_SEE = "see `prometheus:` of the target in seatrial.yaml"


@dataclass(slots=True)
class Credentials:
    """In whose name one session asks.

    Attributes:
        access: As ``seatrial.yaml`` has it.
        config: What its ``http_config`` says.
        folder: Where relative paths start.
        name: What is shown to the server, in words, without any value.
        authorize: Makes the header ``Authorization``; None without one.
        secrets: All that was read so far.
    """

    access: PrometheusAccess
    config: HttpConfig = field(default_factory=HttpConfig)
    folder: Path = field(default_factory=Path)
    name: str = NOBODY
    authorize: Callable[[], str] | None = None
    secrets: set[str] = field(default_factory=set)

    def headers(self) -> dict[str, str]:
        """The headers of the next question; files are read now.

        Raises:
            SignalError: When a file cannot be read, or a variable is not set.
        """
        headers = {name: self._value(name, one) for name, one in self.access.headers.items()}
        for name, one in self.config.http_headers.items():
            secrets = [*one.secrets, *(self.read_file(path, name) for path in one.files)]
            self.secrets.update(secrets)
            headers[name] = ", ".join([*one.values, *secrets])
        if self.access.tenant is not None:
            headers[TENANT_HEADER] = self.access.tenant
        if self.authorize is not None:
            headers["Authorization"] = self.authorize()
        return headers

    def redacted(self, text: str) -> str:
        """``text`` without any secret that was read so far, and without users in URLs."""
        for secret in sorted(self._forms(), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return without_userinfo(text)

    def redacted_bytes(self, body: bytes) -> bytes:
        """The same for bytes, as they came."""
        for secret in sorted(self._forms(), key=len, reverse=True):
            body = body.replace(secret.encode(), HIDDEN.encode())
        return body

    def _forms(self) -> set[str]:
        long = {one for one in self.secrets if len(one) >= _FEWEST_HIDDEN}
        return (
            long | {json.dumps(one)[1:-1] for one in long} | {quote(one, safe="") for one in long}
        )

    def _value(self, name: str, one: str | HeldElsewhere) -> str:
        if isinstance(one, str):
            if _is_secret(name):
                self.secrets.add(one)
            return one
        value = self.read_file(one.file, name) if one.file else self.read_env(one.env or "", name)
        self.secrets.add(value)
        return value

    def read_file(self, path: str, what: str) -> str:
        """The content of a file, which is one line; a relative path starts at ``folder``."""
        where = self.folder / Path(path).expanduser()
        try:
            text = read_bounded(where, MOST_SECRET_BYTES).decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SignalError(
                f"the {what} for Prometheus at {self.access.shown} cannot be read from {where}: "
                f"{why}",
                hint=_SEE,
            ) from None
        return _header_text(text, f"the {what} in {where}")

    def read_env(self, name: str, what: str) -> str:
        value = os.environ.get(name, "").strip()
        if not value:
            raise SignalError(
                f"the {what} for Prometheus at {self.access.shown} is not there: the environment "
                f"lacks {name}",
                hint=_SEE,
            )
        return _header_text(value, f"the {what} in ${name}")

    # -- Authorization -----------------------------------------------------------------------------

    def use_bearer(self, name: str, read: Callable[[], str], kind: str = "Bearer") -> None:
        def authorize() -> str:
            value = read()
            self.secrets.add(value)
            return f"{kind} {value}"

        self.name, self.authorize = name, authorize

    def use_basic(self, name: str, user: Callable[[], str], password: Callable[[], str]) -> None:
        def authorize() -> str:
            secret = password()
            pair = base64.b64encode(f"{user()}:{secret}".encode()).decode()
            self.secrets.update((secret, pair))
            return f"Basic {pair}"

        self.name, self.authorize = name, authorize


def credentials_for(access: PrometheusAccess) -> Credentials:
    """Who asks, after ``access``; a file of kind ``http_config`` is read now.

    Raises:
        SignalError: When that cannot be read, or has mistakes, each with its position.
    """
    held = Credentials(access)
    held.secrets.update(one for name, one in access.params.items() if _is_secret(name))
    if access.http_config is not None:
        _use_config(held, Path(access.http_config).expanduser())
    elif access.bearer_token_file is not None:
        path = access.bearer_token_file
        held.use_bearer(f"the bearer token of {path}", lambda: held.read_file(path, "bearer token"))
    elif access.bearer_token_env is not None:
        name = access.bearer_token_env
        held.use_bearer(f"the bearer token of ${name}", lambda: held.read_env(name, "bearer token"))
    elif access.basic_auth is not None:
        basic = access.basic_auth
        held.use_basic(
            f"user {basic.username!r} with the password of "
            f"{basic.password_file or f'${basic.password_env}'}",
            lambda: basic.username,
            lambda: (
                held.read_file(basic.password_file, "password")
                if basic.password_file
                else held.read_env(basic.password_env or "", "password")
            ),
        )
    parts = urlsplit(access.url)
    if held.authorize is None and parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        held.secrets.add(password)
        held.use_basic(f"user {user!r} of its URL", lambda: user, lambda: password)
    if access.tenant is not None:
        held.name += f", as tenant {access.tenant!r}"
    return held


def _use_config(held: Credentials, path: Path) -> None:
    try:
        config = load_checked(path, HttpConfig)
    except InvalidFileError as error:
        # Without the lines themselves, which may have a secret in them.
        said = "; ".join(f"{path}:{at.line}:{at.column}: {at.message}" for at in error.mistakes)
        raise SignalError(_unvalued(said, path) or f"{path} is no http_config") from None
    except SeatrialError as error:
        raise SignalError(f"{error.message}; it is named by `http_config:`") from None
    held.config, held.folder = config, path.parent
    if config.authorization is not None:
        one = config.authorization
        held.use_bearer(
            f"the credentials of {path}",
            lambda: (
                held.read_file(one.credentials_file, "credentials")
                if one.credentials_file
                else _header_text(one.credentials or "", f"credentials in {path}")
            ),
            one.type,
        )
    elif config.bearer_token is not None or config.bearer_token_file is not None:
        file, text = config.bearer_token_file, config.bearer_token or ""
        held.use_bearer(
            f"the bearer token of {path}", lambda: held.read_file(file, "token") if file else text
        )
    elif config.basic_auth is not None:
        basic = config.basic_auth
        held.use_basic(
            f"user {basic.username or basic.username_file!r} of {path}",
            lambda: (
                held.read_file(basic.username_file, "user")
                if basic.username_file
                else basic.username or ""
            ),
            lambda: (
                held.read_file(basic.password_file, "password")
                if basic.password_file
                else basic.password or ""
            ),
        )


def _unvalued(text: str, path: Path) -> str:
    """``text`` about a file without the secrets that stand in it."""
    with contextlib.suppress(SeatrialError):
        for secret in sorted(_secrets_in(read_yaml(path), secret=False), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
    return text


def _secrets_in(data: Any, *, secret: bool) -> Iterator[str]:
    """Every plain value below a key that looks like one of a secret."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _secrets_in(value, secret=secret or _is_secret(str(key)))
    elif isinstance(data, list):
        for value in data:
            yield from _secrets_in(value, secret=secret)
    elif secret and len(str(data)) >= _FEWEST_HIDDEN:
        yield str(data)


def _header_text(text: str, what: str) -> str:
    """``text``, which goes into a header.

    Raises:
        SignalError: When it is empty, or no header can hold it.
    """
    if not text or not text.isprintable() or not text.isascii():
        problem = "is empty" if not text else "is not one line of plain text"
        raise SignalError(f"{what} {problem}", hint="a token or a password is one line of ASCII")
    return text


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _TELLING)
