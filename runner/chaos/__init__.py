"""Faults: what breaks, and what makes it whole again.

A fault is compiled to an ordinary Chaos Toolkit experiment that runs in a child process. What the
child did is found again by name, in the cluster and from anywhere, and removed by ``heal``.

* Pure: ``compile`` (fault → experiment), ``virtualservice`` (copies of routes), ``pods`` (choice).
* In the child: ``actions`` and ``probes``, which any Chaos Toolkit experiment can use.
* At the edge: ``client`` (the Kubernetes API), ``effects`` (the record), ``toolkit`` (the child).
* ``heal``: a program of its own, because the supervisor of a run never loads the client.
"""
