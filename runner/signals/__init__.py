"""Golden signals from Prometheus. Queries are data; one adapter talks to the server."""
