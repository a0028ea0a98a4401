"""The one configuration that every model shares, and the one sequence type."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

Items = Annotated[tuple[T, ...], Field(strict=False)]
"""A tuple that a YAML or JSON list may fill; its items stay strict."""


class Model(BaseModel):
    """A frozen value. An unknown key or a value of another type is an error, always."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
