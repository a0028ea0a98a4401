"""The command line: flags in, exit code out. The only package that prints.

Data goes to standard output, talk to standard error. Commands import what they need when they run,
so that help, completion and ``validate`` stay fast.
"""

from runner.cli.app import main

__all__ = ["main"]
