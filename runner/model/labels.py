"""Label selectors as text, as ``kubectl -l`` and the API take them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator

_WORD: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_PREFIX: Final = r"(?=.{1,253}/)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/"
_KEY: Final = re.compile(f"(?:{_PREFIX})?{_WORD}")
_VALUE: Final = re.compile(f"(?:{_WORD})?")


def selector_text(labels: Mapping[str, str]) -> str:
    """A selector for exactly these labels, as ``a=b,c=d``; empty for none."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def matches(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether ``labels`` meet every part of ``selector``; an empty selector takes all.

    Parts are ``a=b``, ``a==b``, ``a!=b`` (also met where there is no ``a``), ``a`` and ``!a``.
    """
    return all(_meets(part.strip(), labels) for part in selector.split(",") if part.strip())


def _meets(part: str, labels: Mapping[str, str]) -> bool:
    if "!=" in part:
        key, _, value = part.partition("!=")
        return labels.get(key.strip()) != value.strip()
    if "=" in part:
        key, _, value = part.partition("=")
        return labels.get(key.strip()) == value.lstrip("=").strip()
    if part.startswith("!"):
        return part[1:].strip() not in labels
    return part in labels


def _sound(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"{key!r} is no key of a label; accepted: up to 63 letters, digits, '-', '_' and "
                "'.', after a domain and '/' or not, such as app.kubernetes.io/name"
            )
        if not _VALUE.fullmatch(value):
            raise ValueError(
                f"{value!r} is no value of the label {key}; accepted: up to 63 letters, digits, "
                "'-', '_' and '.', such as order-api"
            )
    return labels


Labels = Annotated[dict[str, str], AfterValidator(_sound)]
"""Labels that an object of Kubernetes can have.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
"""
