"""The sandbox: a mesh of real parts on one machine.

An embedded Kubernetes API server, and clients of it: a deployment controller, a kubelet (one real
process per pod), endpoints, a translator of Istio's objects to a real Envoy, and a metrics
exporter. A real Prometheus scrapes them. Each part talks to the API server through its HTTP API
only, so that another API server can take its place.
"""
