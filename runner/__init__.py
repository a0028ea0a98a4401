"""seatrial: load and chaos experiments, judged against service level objectives.

Nothing is imported here, so that a pod of the sandbox, a Chaos Toolkit child or a Locust worker
that needs one module of the package does not pay for the rest.
"""

__version__ = "0.1.0"
