"""Whether a worker from elsewhere has the locustfile of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.load.commandline import RIDE_ALONG
from runner.load.likeness import print_of

SHOP = b"from locust import User\n\nclass Shopper(User):\n    pass\n"


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (SHOP, True),
        (SHOP.replace(b"\n", b"\r\n"), True),
        (SHOP.replace(b"Shopper", b"Looker"), False),
        (SHOP + b"# later\n", False),
        (b"", False),
    ],
)
def test_a_locustfile_is_known_by_what_it_says(tmp_path: Path, other: bytes, alike: bool) -> None:
    """Goal: another name or other line ends are no other file. Method: copies, some changed."""
    (tmp_path / "shop.py").write_bytes(SHOP)
    (tmp_path / "copy.py").write_bytes(other)
    ours = str(RIDE_ALONG)
    here = print_of([ours, str(tmp_path / "shop.py")])
    assert (print_of([ours, str(tmp_path / "copy.py")]) == here) is alike
    assert print_of([str(tmp_path / "shop.py")]) == here  # of another version of ours, nothing
    assert print_of(None) == print_of([]) != here
