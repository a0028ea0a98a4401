"""How a Prometheus is reached, and in whose name: addresses and where credentials lie. Pure.

No secret stands in here, but for what an author writes into an address or a header himself: tokens
and passwords are named by file or by environment variable, and read for each question. Nothing of
it but :attr:`PrometheusAccess.shown` is ever recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from runner.model.shape import Items, Model
from runner.model.units import Duration

URL_PATTERN = r"^https?://"
HEADER_PATTERN = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
TENANT_HEADER = "X-Scope-OrgID"

FileName = Annotated[str, Field(min_length=1, description="A file; '~' is the home folder.")]
Variable = Annotated[
    str, Field(pattern=VARIABLE_PATTERN, description="Name of an environment variable.")
]

_PARTS = re.compile(
    r"(?P<scheme>https?)://(?:[^/?#]*@)?(?P<host>[^/?#@]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(:\d{1,5})?")
HIDDEN = "[hidden]"
_SECRET_OPTION = re.compile(
    r"--?[\w-]*(passw|passphrase|secret|token|api-?key|access-?key|private-?key|credential|"
    r"auth(?!or)|cookie)[\w-]*",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=://)[^/?#\s'\"]*@")


def without_userinfo(text: str) -> str:
    """``text`` without the user and the password in any URL of it."""
    return _USERINFO.sub("", text)


def hidden_words(words: Iterable[str]) -> tuple[str, ...]:
    """``words`` of a command line without what nobody shall read again.

    That is the value of each option whose name speaks of a secret, and users in URLs.
    """
    kept: list[str] = []
    hiding = False
    for word in words:
        option, equals, _ = word.partition("=")
        secret = _SECRET_OPTION.fullmatch(option) is not None
        if secret and equals:
            kept.append(f"{option}={HIDDEN}")
        elif hiding and not word.startswith("-"):
            kept.append(HIDDEN)
        else:
            kept.append(without_userinfo(word))
        hiding = secret and not equals
    return tuple(kept)


BareText = Annotated[str, Field(repr=False), PlainSerializer(without_userinfo)]
"""Text that is written down without users and passwords of URLs, and not shown in a repr."""

Words = Annotated[
    tuple[str, ...], Field(strict=False), PlainSerializer(lambda words: list(hidden_words(words)))
]
"""Words of a command line that are written down as :func:`hidden_words`."""


def _one_of(value: object, info: ValidationInfo, *others: str) -> None:
    """See that a key does not stand beside another that says the same.

    Raises:
        ValueError: When it does.
    """
    beside = next((name for name in others if info.data.get(name) is not None), None)
    if value is not None and beside is not None:
        raise ValueError(f"{info.field_name!r} and {beside!r} say the same; drop one of them")


class BasicAuth(Model):
    """A user name, and where its password lies."""

    model_config = ConfigDict(title="BasicAuth")

    username: str = Field(min_length=1, description="The user.")
    password_file: FileName | None = Field(default=None, description="File with the password.")
    password_env: Variable | None = Field(
        default=None, description="Environment variable with the password."
    )

    @field_validator("password_env")
    @classmethod
    def _once(cls, value: str | None, info: ValidationInfo) -> str | None:
        _one_of(value, info, "password_file")
        return value

    @model_validator(mode="after")
    def _somewhere(self) -> BasicAuth:
        if self.password_file is None and self.password_env is None:
            raise ValueError("where is the password? accepted: password_file or password_env")
        return self


class TlsAccess(Model):
    """Certificates for an address with https."""

    model_config = ConfigDict(title="Tls")

    ca_file: FileName | None = Field(
        default=None, description="Certificates (PEM) that the server's is checked against."
    )
    cert_file: FileName | None = Field(default=None, description="Our own certificate (PEM).")
    key_file: FileName | None = Field(default=None, description="Its private key (PEM).")
    server_name: str | None = Field(
        default=None, min_length=1, description="Name in the server's certificate."
    )
    insecure_skip_verify: bool = Field(
        default=False, description="Whether to take any certificate. Anybody may listen then."
    )

    @model_validator(mode="after")
    def _both(self) -> TlsAccess:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("a 'key_file' without its certificate; accepted: 'cert_file', too")
        return self


class HeldElsewhere(Model):
    """A header's value that lies in a file or in an environment variable."""

    model_config = ConfigDict(title="HeldElsewhere")

    file: FileName | None = None
    env: Variable | None = None

    @model_validator(mode="after")
    def _one(self) -> HeldElsewhere:
        if (self.file is None) == (self.env is None):
            raise ValueError("accepted: either 'file' or 'env'")
        return self


HeaderName = Annotated[str, Field(pattern=HEADER_PATTERN)]
HeaderText = Annotated[str, Field(pattern=r"^[^\r\n]*$")]


class PrometheusAccess(Model):
    """Where a Prometheus is, and what it wants to see before it answers.

    A plain string in the file is short for ``{url: <string>}``.
    """

    model_config = ConfigDict(title="Prometheus")

    url: str = Field(pattern=URL_PATTERN, description="URL of Prometheus.", repr=False)
    bearer_token_file: FileName | None = Field(
        default=None,
        description="File with a bearer token. It is read for each question: tokens rotate.",
    )
    bearer_token_env: Variable | None = Field(
        default=None, description="Environment variable with a bearer token."
    )
    basic_auth: BasicAuth | None = Field(default=None, description="User and password.")
    tls: TlsAccess | None = Field(default=None, description="Certificates.")
    http_config: FileName | None = Field(
        default=None,
        description="A file as Prometheus' own tools have it (http_config): authorization, "
        "basic_auth, bearer_token_file, tls_config, proxy_url, http_headers.",
    )
    tenant: str | None = Field(
        default=None, min_length=1, description=f"Tenant of Mimir or Cortex: {TENANT_HEADER}."
    )
    headers: dict[HeaderName, HeaderText | HeldElsewhere] = Field(
        default_factory=dict, description="More headers of each question.", repr=False
    )
    params: dict[str, str] = Field(
        default_factory=dict,
        description="More parameters of each question.",
        examples=[{"dedup": "true", "partial_response": "false"}],
        repr=False,
    )
    timeout: Duration | None = Field(
        default=None, gt=0, description="Bound of one question. Default: 10s."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @field_validator("url")
    @classmethod
    def _somewhere(cls, value: str) -> str:
        parts = _PARTS.fullmatch(value)
        if parts is None or not _HOST.fullmatch(parts["host"]):
            raise ValueError("the URL names no host; accepted: such as 'https://prometheus:9090'")
        if parts["rest"]:
            raise ValueError("the URL has parameters; accepted: them in 'params' beside 'url'")
        return value

    @field_validator("bearer_token_env", "basic_auth", "http_config")
    @classmethod
    def _in_one_name(cls, value: Any, info: ValidationInfo) -> Any:
        _one_of(value, info, "bearer_token_file", "bearer_token_env", "basic_auth")
        return value

    @field_validator("http_config")
    @classmethod
    def _tls_once(cls, value: str | None, info: ValidationInfo) -> str | None:
        _one_of(value, info, "tls")
        return value

    @property
    def shown(self) -> str:
        """The address as everybody may see it: without user, password and parameters."""
        parts = _PARTS.fullmatch(self.url)
        if parts is None:
            return without_userinfo(self.url)
        return f"{parts['scheme']}://{parts['host']}{parts['path']}"


# -- a file as Prometheus' own tools have it -------------------------------------------------------


class Authorization(Model):
    """Header ``Authorization`` of an ``http_config``."""

    type: str = Field(default="Bearer", min_length=1)
    credentials: str | None = Field(default=None, repr=False)
    credentials_file: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Authorization:
        if (self.credentials is None) == (self.credentials_file is None):
            raise ValueError("accepted: either 'credentials' or 'credentials_file'")
        return self


class ConfigBasicAuth(Model):
    """Key ``basic_auth`` of an ``http_config``."""

    username: str | None = None
    username_file: str | None = None
    password: str | None = Field(default=None, repr=False)
    password_file: str | None = None

    @model_validator(mode="after")
    def _each_once(self) -> ConfigBasicAuth:
        for name in ("username", "password"):
            given = [getattr(self, name), getattr(self, f"{name}_file")]
            if all(one is not None for one in given):
                raise ValueError(f"accepted: either {name!r} or '{name}_file'")
        if self.username is None and self.username_file is None:
            raise ValueError("it lacks the user; accepted: 'username' or 'username_file'")
        return self


class ConfigTls(Model):
    """Key ``tls_config`` of an ``http_config``, as far as it is understood here."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False


class ConfigHeader(Model):
    """One of ``http_headers`` of an ``http_config``."""

    values: Items[str] = ()
    secrets: Items[str] = Field(default=(), repr=False)
    files: Items[str] = ()


class HttpConfig(Model):
    """A file that Prometheus, promtool and Alertmanager read as ``http_config``.

    Not understood, and so a mistake: ``oauth2``, ``proxy_connect_header``, certificates that stand
    in the file itself, ``min_version`` and ``max_version``. Understood, and without effect:
    ``proxy_from_environment`` (the environment's proxies hold where the file names none),
    ``follow_redirects`` (never) and ``enable_http2``.
    """

    model_config = ConfigDict(title="http_config")

    authorization: Authorization | None = None
    basic_auth: ConfigBasicAuth | None = None
    bearer_token: str | None = Field(default=None, repr=False)
    bearer_token_file: str | None = None
    tls_config: ConfigTls = ConfigTls()
    proxy_url: str | None = Field(default=None, pattern=URL_PATTERN, repr=False)
    no_proxy: str | None = None
    proxy_from_environment: bool = False
    http_headers: dict[HeaderName, ConfigHeader] = Field(default_factory=dict)
    follow_redirects: bool = False
    enable_http2: bool = True

    @model_validator(mode="after")
    def _in_one_name(self) -> HttpConfig:
        ways = ("authorization", "basic_auth", "bearer_token", "bearer_token_file")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} say the same; accepted: one of them")
        return self
