"""Files that somebody names: pipes, devices and folders in their place; text that no file holds."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from runner.errors import RecordingError, UsageError
from runner.legible import LONGEST_WORD, encodable, json_legible, legible
from runner.store import write_atomically
from runner.textfile import is_special, read_bounded
from runner.yamltext import MAX_BYTES, read_text


def failing(path: Path, most: int = 10) -> int | None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is the answer
        read_bounded(path, most, patience_s=0.01)
    return caught.value.errno


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    assert read_bounded(path, 10) == b"0123456789"
    assert failing(path, 9) == errno.EFBIG
    assert read_bounded(Path(os.devnull), 10) == b""


def test_what_never_ends_or_never_begins_is_left(tmp_path: Path) -> None:
    """Goal: no command hangs. Method: a pipe without a writer, a device, a folder, no name."""
    os.mkfifo(tmp_path / "pipe")
    assert failing(tmp_path / "pipe") == errno.ETIMEDOUT
    assert failing(Path("/dev/zero"), 1_000_000) == errno.EFBIG
    assert failing(tmp_path) == errno.EISDIR
    assert failing(tmp_path / "none") == errno.ENOENT
    assert failing(Path("a\0b")) == errno.EINVAL


def test_a_pipe_with_a_writer_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"abc" * 50_000,))
    writer.start()
    try:
        assert read_bounded(pipe, 150_000) == b"abc" * 50_000
    finally:
        writer.join(5)


def test_settings_may_come_from_nowhere_but_not_from_everywhere() -> None:
    assert read_text(Path(os.devnull)) == ""
    with pytest.raises(UsageError, match=f"has more than {MAX_BYTES} bytes|cannot be read"):
        read_text(Path("/dev/zero"))


def test_text_for_a_terminal() -> None:
    assert legible("a\x1b[31m\r\nb\tc\u202e\udcff") == "a\ufffd[31m\nb\tc\ufffd\ufffd"
    assert legible("x\n  ::error::y\n##[group]z") == "x\n|   ::error::y\n| ##[group]z"
    assert legible("é" * 600) == "é" * LONGEST_WORD + "…"
    assert encodable("\ud83d\ude00 ok") == "\ufffd\ufffd ok"
    assert json_legible('"\x9b\u2028é\udcff"') == r'"\u009b\u2028é\udcff"'


def test_a_device_or_pipe_is_written_into_and_never_replaced(tmp_path: Path) -> None:
    """Goal: `-o /dev/null` leaves it what it is. Method: a pipe, a link to a file, a folder."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(RecordingError, match="pipe cannot be written"):
        write_atomically(pipe, "x")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "an é")
    assert os.read(reader, 100) == "an é".encode()
    os.close(reader)
    assert is_special(pipe)
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert [is_special(tmp_path / name) for name in ("file", "none", ".")] == [False] * 3
