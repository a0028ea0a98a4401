"""The Locust engine, and what runs inside Locust. Only ``plugin`` may import locust."""
