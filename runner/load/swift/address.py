"""URLs: where a request goes, and what it asks for there. Pure.

Quoting and parameters are geventhttpclient's, so that a server sees what FastHttpUser would send.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from geventhttpclient.url import URL

_SENDABLE = re.compile(r"[^\x00-\x20\x7f]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int


class Address(NamedTuple):
    """What a request asks for.

    Attributes:
        origin: Whom to ask.
        host: Value of the Host header, unless the author gives one.
        path: The request target (RFC 9112 3.2): path and query, quoted.
        url: The URL as the author gave it, with the host.
    """

    origin: Origin
    host: str
    path: str
    url: str


def basic_auth(username: str | bytes, password: str | bytes) -> str:
    """Value of an Authorization header (RFC 7617, Latin-1 as most clients do)."""
    pair = [
        part.encode("latin-1") if isinstance(part, str) else part for part in (username, password)
    ]
    return "Basic " + b64encode(b":".join(pair)).decode("ascii")


def split_credentials(url: str) -> tuple[str, str | None]:
    """A base URL without user and password, and the Authorization header that they make."""
    parts = urlsplit(url)
    if not (parts.username and parts.password):
        return url, None
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, basic_auth(unquote(parts.username), unquote(parts.password))


def address_of(url: str, params: Any = None) -> Address:
    """Take an absolute URL apart.

    Args:
        url: With scheme and host; characters that must be quoted are.
        params: What to add to the query: a mapping, pairs, or a string.

    Raises:
        ValueError: There is no host, or the path cannot be sent.
    """
    parsed = URL(url, params=params)
    host, port = parsed.host, parsed.port
    if parsed.scheme not in _DEFAULT_PORTS or not host or not port:
        raise ValueError(f"{url!r} is no URL of a host: http://… or https://… is expected")
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    path = parsed.quoted_uri
    if not path.startswith("/"):
        path = f"/{path}"
    if path.startswith("//") or not _SENDABLE.fullmatch(path):
        raise ValueError(f"{path!r} cannot be asked for")
    named = f"[{host}]" if ":" in host else host
    if port != _DEFAULT_PORTS[parsed.scheme]:
        named = f"{named}:{port}"
    return Address(Origin(parsed.scheme, host, port), named, path, url)


def moved(address: Address, location: str) -> Address:
    """Where a redirect leads.

    Raises:
        ValueError: Nowhere.
    """
    here = URL(f"{address.origin.scheme}://{address.host}{address.path}")
    return address_of(str(here.redirect(location)))


def is_plain(base_url: str) -> bool:
    """Whether a path can simply be put behind: no query or fragment would swallow it."""
    parts = urlsplit(base_url)
    return not parts.query and not parts.fragment and ";" not in parts.path
