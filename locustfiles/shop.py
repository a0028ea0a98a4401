"""The shop's users: 30 % read customers, 40 % read products, 20 % order, 10 % pay.

Runs under seatrial and under plain Locust:

    locust -f locustfiles/shop.py -H http://127.0.0.1:8080 --headless -u 100 -r 10 -t 1m

Each user makes one request per second on average, at random moments (a Poisson process), so that
100 users make about 100 requests per second, without the waves that users in step would make. The
next request is due from the moment the last one was *due*, so that answering times do not lower the
rate; but a user who was held up for long does not make up for more than a second of it.
"""

import os
import random
import time

from locust import task

from runner.load.swift import SwiftHttpUser as FastHttpUser

HOST_HEADER = os.environ.get("TARGET_HOST_HEADER", "api.c4ang.com")
REQUESTS_PER_SECOND = 1.0
MOST_BEHIND_S = 1.0


class Shopper(FastHttpUser):
    """A customer of the shop."""

    connection_timeout = 5.0
    # Longer than one try in the mesh (10 s), shorter than a route's whole time (30 s).
    network_timeout = 15.0
    default_headers = {"Host": HOST_HEADER} if HOST_HEADER else {}

    def on_start(self):
        self.due = time.monotonic()
        self.wait()  # the first request, too, comes at a random moment

    def wait_time(self):
        now = time.monotonic()
        self.due = max(self.due, now - MOST_BEHIND_S) + random.expovariate(REQUESTS_PER_SECOND)
        return max(0.0, self.due - now)

    @task(30)
    def read_customers(self):
        self.client.get("/api/v1/customers")

    @task(40)
    def read_products(self):
        self.client.get("/api/v1/products")

    @task(20)
    def create_order(self):
        order = {"customer": random.randint(1, 10_000), "items": [{"product": 7, "quantity": 1}]}
        self.client.post("/api/v1/orders", json=order)

    @task(10)
    def pay(self):
        payment = {"order": random.randint(1, 10_000), "amount": "19.90", "currency": "EUR"}
        self.client.post("/api/v1/payments", json=payment)
