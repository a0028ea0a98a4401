"""Blotting out what is secret, in the journal and in the log of an experiment."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TextIO
from urllib.parse import quote, quote_plus

BLOT: Final = "***"
SHORTEST: Final = 4
"""A shorter secret is blotted out only where it stands alone: it is part of too many words."""


@dataclass(frozen=True, slots=True)
class Blotter:
    """Knows what is secret.

    Attributes:
        words: Texts that must not be seen, the longest one first.
    """

    words: tuple[str, ...] = ()

    def clean(self, value: Any) -> Any:
        """A copy of ``value``, a text or whatever JSON can hold, without what is secret."""
        match value:
            case str():
                return self._clean_text(value)
            case bytes():
                return self._clean_text(value.decode("utf-8", "replace")) if self.words else value
            case Mapping():
                return {self.clean(key): self.clean(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.clean(inner) for inner in value]
            case _:
                return value

    def clean_record(self, entry: logging.LogRecord) -> bool:
        """A filter for a log's handler: keeps every line, without what is secret."""
        if self.words:
            entry.msg, entry.args = self._clean_text(entry.getMessage()), None
            if entry.exc_info:
                text = logging.Formatter().formatException(entry.exc_info)
                entry.exc_text, entry.exc_info = self._clean_text(text), None
        return True

    def _clean_text(self, text: str) -> str:
        if text in self.words:
            return BLOT
        for word in self.words:
            if len(word) >= SHORTEST:
                text = text.replace(word, BLOT)
        return text


def blotter_of(secrets: Mapping[str, Any]) -> Blotter:
    """A blotter for secrets as Chaos Toolkit has loaded them: all texts and numbers in them."""
    words = {form for text in _texts(secrets.values()) for form in _forms(text)}
    return Blotter(tuple(sorted(words, key=lambda word: (-len(word), word))))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, list | tuple):
            yield from _texts(value)
        elif isinstance(value, str | int | float) and not isinstance(value, bool) and str(value):
            yield str(value)


def _forms(text: str) -> Iterator[str]:
    """``text`` as it is, and as URLs, JSON and headers write it."""
    yield text
    yield from text.splitlines()
    if len(text) >= SHORTEST:
        yield quote(text, safe="")
        yield quote_plus(text)
        yield text.encode("unicode_escape").decode("ascii")
        yield base64.b64encode(text.encode()).decode("ascii")


class CleanStream(io.TextIOWrapper):
    """A text stream that passes on what is not secret, texts and bytes alike."""

    def __init__(self, stream: TextIO, blotter: Blotter) -> None:
        super().__init__(_CleanBytes(stream, blotter), "utf-8", "replace", write_through=True)  # type: ignore[arg-type]


class _CleanBytes(io.BufferedIOBase):
    """The bytes of it."""

    def __init__(self, stream: TextIO, blotter: Blotter) -> None:
        self._stream = stream
        self._blotter = blotter

    def write(self, data: Any) -> int:
        self._stream.write(self._blotter.clean(bytes(data).decode("utf-8", "replace")))
        self._stream.flush()
        return len(data)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()
