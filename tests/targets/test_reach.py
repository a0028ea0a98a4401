"""Which services a load reaches: by the text of its locustfile, by routes, and by known calls."""

from __future__ import annotations

import pytest
from worlds import HOST, NAMESPACE, virtual_service, world

from runner.targets.inspection import Objects
from runner.targets.reach import Paths, Reach, path_for, paths_in, reach_of

# -- whom the load reaches -------------------------------------------------------------------------

ORDERS = Paths(gets=("/api/v1/orders",), asked=("/api/v1/orders",), whole=True)
INGRESS = "istio-ingressgateway"


def reached(calls: dict[tuple[str, str], float], paths: Paths = ORDERS) -> Reach:
    objects: Objects = world()
    return reach_of(paths, calls, host=HOST, objects=objects, namespace=NAMESPACE)


def test_a_service_is_reached_by_routes_and_by_calls_that_were_seen() -> None:
    calls = {(INGRESS, "order-api"): 30.0, ("order-api", "payment-api"): 30.0}
    found = reached(calls)
    assert (sorted(found.entered), sorted(found.sure)) == (
        ["order-api"],
        ["order-api", "payment-api"],
    )
    assert found.whole


def test_calls_that_nobody_has_seen_are_not_known() -> None:
    """Goal: no refusal on a guess. Method: health checks only, few requests, an unknown path."""
    fresh = reached({(INGRESS, "order-api"): 500.0})
    assert (fresh.whole, sorted(fresh.sure)) == (False, ["order-api"])
    assert fresh.why.startswith("no service was seen to call another in the last hour")
    few = reached({(INGRESS, "order-api"): 5.0, ("payment-api", "order-api"): 3.0})
    assert few.why == ("whom order-api calls is not known: it had no requests in the last hour")
    vague = reached({}, Paths(asked=("/api/v1/orders",), whole=False))
    assert vague.why == "the locustfile does not say in plain text what it asks for"
    lost = reached({}, Paths(asked=("/nowhere",), whole=True))
    assert lost.why == f"no VirtualService leads the load's paths for {HOST} to a service"


# -- what a locustfile asks for --------------------------------------------------------------------

SHOP = """
import random
from locust import HttpUser, task

class Shopper(HttpUser):
    @task
    def look(self):
        self.client.get("/api/v1/products", name="x")
        self.client.get(url="/api/v1/customers?page=1")
        self.client.post("/api/v1/orders", json={})
        self.client.request("GET", f"/api/v1/orders/{random.random()}")
        with self.rest("PUT", "/api/v1/carts/%d" % 7) as answer:
            answer.js.get("/not-a-path")
"""


def test_the_paths_of_a_locustfile_are_read_from_its_text() -> None:
    """Goal: verbs, templates, keyword arguments; the file is never run. Method: one of each."""
    assert paths_in(SHOP) == Paths(
        gets=("/api/v1/products", "/api/v1/customers?page=1"),
        asked=(
            "/api/v1/products",
            "/api/v1/customers?page=1",
            "/api/v1/orders",
            "/api/v1/orders/",
            "/api/v1/carts/",
        ),
        whole=True,
    )


@pytest.mark.parametrize(
    "source",
    [
        "import shop_tasks\n" + SHOP,
        "from .tasks import Tasks\n" + SHOP,
        SHOP + "\n    def more(self):\n        self.client.get(self.path)\n",
        SHOP + "\n    def more(self):\n        self.client.get(f'{self.base}/x')\n",
        "from locust import HttpUser\n",
        "class (",
    ],
)
def test_what_is_not_in_plain_text_is_not_known(source: str) -> None:
    assert not paths_in(source).whole


def test_a_path_is_found_for_a_host_with_a_wildcard() -> None:
    vs = virtual_service("order-api", hosts=["*.example"])
    assert path_for([vs], "a.example") == "/api/v1/orders"
