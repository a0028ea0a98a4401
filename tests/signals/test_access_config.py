"""How a Prometheus is reached, as ``seatrial.yaml`` has it: mistakes, and what may be shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.errors import InvalidFileError
from runner.model.access import PrometheusAccess, without_userinfo
from runner.model.target import Config
from runner.source import load_config

WRONG: list[tuple[dict[str, Any] | str, str]] = [
    (
        {"url": "http://x", "bearer_tokn_file": "x"},
        "unknown key 'bearer_tokn_file' in targets.t.prometheus; did you mean 'bearer_token_file'?",
    ),
    (
        {"url": "http://x", "basic_auth": {"username": "a", "pasword_env": "B"}},
        "did you mean 'password_env'? accepted: username, password_file, password_env",
    ),
    (
        {"url": "http://x", "headers": {"X-Key": {"fil": "a"}}},
        "unknown key 'fil' in targets.t.prometheus.headers.X-Key; did you mean 'file'?",
    ),
    ("prometheus:9090", "prometheus"),
    ({"bearer_token_file": "x"}, "url"),
    ({"url": "http://x?a=1"}, "them in 'params' beside 'url'"),
    ({"url": "http://"}, "names no host"),
    ({"url": "http://x", "bearer_token_file": "a", "bearer_token_env": "B"}, "say the same"),
    ({"url": "http://x", "basic_auth": {"username": "a"}}, "password_file or password_env"),
    ({"url": "http://x", "tls": {"key_file": "a"}}, "'cert_file', too"),
    ({"url": "http://x", "tls": {}, "http_config": "a"}, "say the same"),
    ({"url": "http://x", "headers": {"X A": "b"}}, "X A"),
    ({"url": "http://x", "headers": {"X": {"env": "A", "file": "b"}}}, "either 'file' or 'env'"),
    ({"url": "http://x", "timeout": "0s"}, "timeout"),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_mistakes_in_the_configuration_have_positions(
    given: dict[str, Any] | str, said: str, config_of: Callable[[Any], str]
) -> None:
    """Goal: a wrong key is found before a run, at its line. Method: one mistake at a time."""
    message = config_of(given)
    assert said in message
    assert "seatrial.yaml:" in message


@pytest.fixture
def config_of(tmp_path: Path) -> Callable[[Any], str]:
    def load(given: Any) -> str:
        spec = {"context": "c", "namespace": "n", "ingress": "http://x", "prometheus": given}
        path = tmp_path / "seatrial.yaml"
        path.write_text(json.dumps({"targets": {"t": spec}}, indent=1), encoding="utf-8")
        with pytest.raises(InvalidFileError) as caught:
            load_config(path)
        return caught.value.message

    return load


def test_a_text_is_short_for_a_url() -> None:
    spec = {"context": "c", "namespace": "n", "ingress": "http://x", "prometheus": "http://p:9090"}
    config = Config.model_validate({"targets": {"t": spec}})
    assert config.targets["t"].prometheus == PrometheusAccess(url="http://p:9090")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://p:9090", "http://p:9090"),
        ("https://ann:secret@p/path/", "https://p/path/"),
        ("https://ann:se@cret@p:1/path", "https://p:1/path"),
        ("http://[::1]:9090/x", "http://[::1]:9090/x"),
    ],
)
def test_an_address_is_shown_without_its_user(url: str, shown: str) -> None:
    access = PrometheusAccess(url=url)
    assert access.shown == shown
    assert "cret" not in repr(access)


def test_a_command_is_recorded_without_the_users_in_its_urls() -> None:
    """Goal: no password in a manifest. Method: a flag in two forms, and texts without one."""
    assert without_userinfo("see https://ann:se@cret@p:1/x") == "see https://p:1/x"
    for word in ("--prometheus=https://ann:secret@p/x", "https://ann:secret@p/x"):
        assert without_userinfo(word) == word.replace("ann:secret@", "")
    for word in ("team@example.org", "--host=a@b", "https://p/x@y"):
        assert without_userinfo(word) == word
