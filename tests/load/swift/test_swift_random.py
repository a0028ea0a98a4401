"""Random requests through the fast client and Locust's own."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from swiftpairs import both, same
from swiftpeers import Peer, echo_server, swift


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[Peer]:
    with echo_server() as peer:
        yield peer


paths = st.text(string.ascii_letters + string.digits + "/-._~%äß ;,:@&=+$!*'()?#", max_size=20)
names = st.text(string.ascii_letters + string.digits + "-_", max_size=8).map(lambda n: f"X{n}")
values = st.text("".join(map(chr, [*range(0x21, 0x7F), *range(0xA0, 0x100)])), max_size=8)
plain = st.text(max_size=8).filter(lambda text: text.isprintable())
parameters = st.one_of(plain, st.integers(), st.lists(plain, max_size=2))
letters = st.text(string.ascii_letters, max_size=5)
objects = st.recursive(
    st.none() | st.integers() | plain,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(plain, inner, max_size=2),
    max_leaves=4,
)
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "Y"]),
        "url": paths.map(lambda path: "/" + path.lstrip("/")),
    },
    optional={
        "headers": st.dictionaries(names, values, max_size=3),
        "params": st.dictionaries(plain, parameters, max_size=3),
        "data": plain | st.binary(max_size=40) | st.dictionaries(plain, plain, max_size=3),
        "json": objects,
        "name": plain,
        "auth": st.tuples(letters, letters),
    },
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(request=requests)
@example(request={"method": "GET", "url": "/", "headers": {"XA": "1", "Xa": "2"}})
def test_any_request_looks_the_same(server: Peer, request: dict[str, Any]) -> None:
    """Goal: nothing was forgotten above. Method: random requests, the echo of either client."""
    try:
        seen = both(server, lambda client: client.request(**request))
    except ValueError:
        # geventhttpclient has refused it: so do we.
        client, _ = swift(server.url)
        with pytest.raises(ValueError, match=r"cannot be|expected"):
            client.request(**request)
        return
    same(seen)
