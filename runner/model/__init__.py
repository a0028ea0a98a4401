"""Pure data, pydantic v2: frozen, strict, unknown keys forbidden. No I/O and no clock."""
