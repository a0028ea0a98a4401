"""The mesh of the sandbox: Istio's objects translated for one real Envoy.

``translate`` and what it uses are pure: Kubernetes objects in, Envoy's xDS resources out.
``envoy`` runs the process, ``controller`` watches the API server and moves the files. It is not a
control plane: no mutual TLS, no locality, no protocol but HTTP/1.1; what is not honoured is
reported on the object that asks for it.
"""
