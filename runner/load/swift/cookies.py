"""The cookies of one user: http.cookiejar's rules, asked only when there is a cookie.

The rules (domain, path, Secure, expiry) are the standard library's. They cost tens of microseconds
per request, so an empty jar is not asked at all, and the answer for a URL is kept until the jar
changes or the first cookie expires.
"""

from __future__ import annotations

import time
from email.message import Message
from http.cookiejar import Cookie, CookieJar
from typing import Any, cast
from urllib.request import Request

_MAX_KEPT = 1000


class Jar(CookieJar):
    """A cookie jar that knows whether it was ever filled."""

    def __init__(self) -> None:
        super().__init__()
        self.filled = False
        """A cookie was set at some time."""
        self._kept: dict[str, str] = {}
        self._kept_until_s = 0.0

    def set_cookie(self, cookie: Cookie) -> None:
        """Add a cookie; every way into the jar leads through here."""
        super().set_cookie(cookie)
        self.filled = True
        self._kept.clear()

    def clear(
        self, domain: str | None = None, path: str | None = None, name: str | None = None
    ) -> None:
        """Remove cookies; every way out of the jar, but expiry, leads through here."""
        super().clear(domain, path, name)
        self._kept.clear()

    def header_for(self, url: str) -> str:
        """The value of the Cookie header for a request, empty for none."""
        now_s = time.time()
        if now_s >= self._kept_until_s or len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        value = self._kept.get(url)
        if value is None:
            request = Request(url)  # noqa: S310 - nothing is opened
            self.add_cookie_header(request)
            value = request.get_header("Cookie", "")
            expiries = [cookie.expires for cookie in self if cookie.expires is not None]
            self._kept_until_s = min(expiries, default=now_s + 60.0)
            self._kept[url] = value
        return value

    def take(self, set_cookie: list[str], url: str) -> None:
        """Take in the Set-Cookie lines of an answer to a request for ``url``."""
        message = Message()
        for line in set_cookie:
            message["Set-Cookie"] = line
        answer = cast("Any", _Answer(message))
        self.extract_cookies(answer, Request(url))  # noqa: S310 - nothing is opened


class _Answer:
    """What the standard library's jar wants to see of an answer."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message
