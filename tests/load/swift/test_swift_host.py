"""The Host header of the target at the fast client: who gets it, and who does not."""

from __future__ import annotations

from typing import Any

import pytest
from swiftpeers import Peer, echo_server, fields_of, swift

from runner.load.host_header import name_host
from runner.load.swift import SwiftHttpSession

NAME = "shop.test"


def hosts(response: Any) -> list[str]:
    """The Host headers that the server saw."""
    return fields_of(response.json())["host"]


def own(peer: Peer) -> str:
    return peer.url.removeprefix("http://")


def redirect(status: int, peer: Peer, path: str = "/to") -> str:
    return f"/redirect/{status}/" + (peer.url + path).replace("/", "~")


def test_the_base_url_is_named_and_nobody_else() -> None:
    """Goal: an ingress finds its route. Method: two servers; paths, URLs and redirects to each."""
    with echo_server() as target, echo_server() as other:
        client, _ = swift(target.url)
        assert name_host(client, NAME)
        assert hosts(client.get("/a")) == [NAME]
        assert hosts(client.post("/a", json={})) == [NAME]
        assert hosts(client.get(f"{target.url}/a")) == [NAME]
        assert hosts(client.get(f"{other.url}/a")) == [own(other)]
        assert hosts(client.get("/redirect/302/~to")) == [NAME]
        assert hosts(client.get(redirect(302, target))) == [NAME]
        assert hosts(client.get(redirect(307, other))) == [own(other)]
        assert hosts(client.get(other.url + redirect(302, target))) == [NAME]


@pytest.mark.parametrize("spelling", ["Host", "host", "HOST"])
def test_the_author_goes_first(spelling: str) -> None:
    with echo_server() as target:
        client, _ = swift(target.url)
        assert name_host(client, NAME)
        assert hosts(client.get("/a", headers={spelling: "own.test"})) == ["own.test"]
        assert hosts(client.get("/a")) == [NAME]
        client, _ = swift(target.url, headers={spelling: "own.test"})
        assert name_host(client, NAME)
        assert hosts(client.get("/a")) == ["own.test"]


def test_another_base_url_is_another_server() -> None:
    """Goal: a user who turns to another server takes no name there, and may come back."""
    with echo_server() as target, echo_server() as other:
        client, _ = swift(target.url)
        assert name_host(client, NAME)
        client.base_url = other.url
        assert hosts(client.get("/a")) == [own(other)]
        client.base_url = target.url
        assert hosts(client.get("/a")) == [NAME]


def test_users_who_share_what_they_write_do_not_share_the_name() -> None:
    with echo_server() as target:
        named, _ = swift(target.url)
        plain, _ = swift(target.url)
        assert name_host(named, NAME)
        assert hosts(named.get("/a")) == [NAME]
        assert hosts(plain.get("/a")) == [own(target)]


def test_the_name_is_no_part_of_a_url() -> None:
    """Goal: what is reported, and where a relative redirect leads, stays the URL's own."""
    with echo_server() as target:
        client, reports = swift(target.url)
        assert name_host(client, NAME)
        response = client.get("/redirect/302/to")
        assert response.url == f"{target.url}/redirect/302/to"
        assert reports.last["url"] == f"{target.url}/redirect/302/to"


class Derived(SwiftHttpSession):
    pass


def test_derived_clients_are_known_and_clients_without_a_base_url_left_alone() -> None:
    assert name_host(Derived("http://127.0.0.1:1", None), NAME)
    assert not name_host(Derived(None, None), NAME)
    assert not name_host(Derived("http://127.0.0.1:1", None), "")
