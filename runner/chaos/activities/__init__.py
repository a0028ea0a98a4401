"""Activities of Chaos Toolkit experiments, by subject: actions, and the probes that look again.

People name them by ``runner.chaos.actions`` and ``runner.chaos.probes``, which list them all.
"""
