"""A small Kubernetes API server: everything in memory, on loopback, over TLS with its own CA.

kubectl, the Python client and Chaos Toolkit use it as they are. It stores and serves objects and
keeps their bookkeeping (versions, field ownership, deletion, garbage); it runs nothing. What makes
a Deployment into pods, and pods into processes, is a client of it, as in Kubernetes.

It is not meant to be secure against people who share the machine's account, nor durable: its state
ends with its process.
"""

from __future__ import annotations

from runner.targets.sandbox.apiserver.serving import ApiServerHandle, serve

__all__ = ["ApiServerHandle", "serve"]
