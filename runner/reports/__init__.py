"""Reports: every number is computed once, in ``document``; the rest renders it."""
