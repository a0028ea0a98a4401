"""Label selectors as text, as ``kubectl -l`` and the API take them. Pure."""

from __future__ import annotations

from collections.abc import Mapping


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
