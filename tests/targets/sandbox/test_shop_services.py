"""What the six services answer, and what an order does when those that it calls do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from runner.targets.sandbox.shop.behaviour import Behaviour
from runner.targets.sandbox.shop.http1 import Request, Response
from runner.targets.sandbox.shop.outbound import (
    Answer,
    CallFailedError,
    CallTimeoutError,
    Outbound,
)
from runner.targets.sandbox.shop.services import ROUTES, Shop, read_settings

Call = tuple[str, str, str, dict[str, str]]


class Script(Outbound):
    """An outbound proxy that answers from a list per host."""

    def __init__(self, **answers: list[int | Exception]) -> None:
        super().__init__("127.0.0.1", 1, 1.0)
        self.answers = {name.replace("_", "-"): answer for name, answer in answers.items()}
        self.calls: list[Call] = []

    async def call(
        self, method: str, host: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        self.calls.append((method, host, path, dict(headers)))
        answer = self.answers[host].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(answer, b"{}")


def shop(service: str, **environment: str) -> Shop:
    base = {"SHOP_SERVICE": service, "SHOP_MEAN_S": "0", "SHOP_OUTBOUND": "http://127.0.0.1:1"}
    return Shop(read_settings(base | environment))


def ask(
    to: Shop, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Response:
    return asyncio.run(to.handle(Request(method, path, headers or {}, body, keep_alive=True)))


def data_of(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.body)
    return found


@pytest.mark.parametrize("service", list(ROUTES))
def test_every_service_answers_under_its_own_prefix_only(service: str) -> None:
    """Collection, item and health answer 200 under the own prefix; other prefixes are 404."""
    pod, prefix = shop(service), ROUTES[service].prefix
    for path in (prefix, f"{prefix}/7", f"{prefix}/health", "/healthz"):
        assert ask(pod, "GET", path).status == 200
    others = [route.prefix for name, route in ROUTES.items() if name != service]
    for path in (*others, f"{prefix}/", f"{prefix}/7/x", f"{prefix}s", "/", "/api/v1"):
        assert ask(pod, "GET", path).status == 404, path


@pytest.mark.parametrize(
    ("service", "method", "path", "status"),
    [
        ("payment-api", "POST", "/api/v1/payments", 201),
        ("customer-api", "POST", "/api/v1/customers", 201),
        ("product-api", "POST", "/api/v1/products", 405),
        ("payment-api", "POST", "/api/v1/payments/7", 405),
        ("payment-api", "DELETE", "/api/v1/payments/7", 405),
    ],
)
def test_methods(service: str, method: str, path: str, status: int) -> None:
    """Only the methods of a service are known, and nothing is posted to an item."""
    assert ask(shop(service), method, path).status == status


def test_answers_name_service_pod_and_version() -> None:
    """Answers say who gave them, in the body and in a header."""
    pod = shop("product-api", SHOP_POD="product-api-x", SHOP_VERSION="v2")
    answer = ask(pod, "GET", "/api/v1/products/7")
    who = {"service": "product-api", "pod": "product-api-x", "version": "v2"}
    assert data_of(answer) == who | {"product": "7"}
    assert ("x-pod", "product-api-x") in answer.headers


def test_a_repeated_payment_is_one_payment() -> None:
    """The same idempotency key gives the same payment; without a key each is new."""
    pod = shop("payment-api")
    keyed = [
        data_of(ask(pod, "POST", "/api/v1/payments", {"idempotency-key": "k"}))["payment"]
        for _ in range(2)
    ]
    plain = [data_of(ask(pod, "POST", "/api/v1/payments"))["payment"] for _ in range(2)]
    assert keyed == ["k", "k"]
    assert plain[0] != plain[1]


def test_an_order_calls_customer_and_payment() -> None:
    """An order asks both services, hands tracing headers on and its id as key to the payment."""
    pod = shop("order-api")
    script = pod.outbound = Script(customer_api=[200], payment_api=[201])
    answer = ask(pod, "POST", "/api/v1/orders", {"x-request-id": "r1", "cookie": "secret"})
    assert answer.status == 201
    key = data_of(answer)["order"]
    json_type = {"content-type": "application/json"}
    assert script.calls == [
        ("GET", "customer-api", "/api/v1/customers/1", {"x-request-id": "r1"}),
        (
            "POST",
            "payment-api",
            "/api/v1/payments",
            {"x-request-id": "r1", "idempotency-key": key} | json_type,
        ),
    ]


@pytest.mark.parametrize(
    ("payments", "status", "attempts"),
    [
        ([503, 201], 201, 2),
        ([CallFailedError("gone"), 201], 201, 2),
        ([CallTimeoutError("late"), 201], 201, 2),
        ([503, 503], 503, 2),
        ([503, CallTimeoutError("late")], 504, 2),
        ([CallFailedError("gone"), CallFailedError("gone")], 503, 2),
        ([404], 503, 1),
    ],
)
def test_a_refused_payment_is_tried_once_more(
    payments: list[int | Exception], status: int, attempts: int
) -> None:
    """5xx, timeout and connection errors are repeated once; then the order is refused."""
    pod = shop("order-api")
    script = pod.outbound = Script(customer_api=[200], payment_api=payments)
    assert ask(pod, "POST", "/api/v1/orders").status == status
    hosts = [call[1] for call in script.calls]
    assert hosts.count("payment-api") == attempts


def test_a_missing_customer_refuses_the_order_without_a_repetition() -> None:
    """The customer is asked once only; the order answers 503."""
    pod = shop("order-api")
    script = pod.outbound = Script(customer_api=[503], payment_api=[201])
    answer = ask(pod, "POST", "/api/v1/orders")
    assert (answer.status, data_of(answer)["error"]) == (503, "customer-api answered 503")
    assert [call[1] for call in script.calls].count("customer-api") == 1


def test_a_full_pod_answers_503() -> None:
    """With its one slot taken and no queue, a pod refuses work but not its health check."""
    pod = shop("product-api", SHOP_SLOTS="1", SHOP_QUEUE="0")
    asyncio.run(pod.slots.take())
    answer = ask(pod, "GET", "/api/v1/products")
    assert (answer.status, data_of(answer)["error"][:11]) == (503, "all workers")
    assert ask(pod, "GET", "/healthz").status == 200


def test_a_slot_is_given_back_after_every_kind_of_answer() -> None:
    """Success, refusal on request and a failing call each leave the slot free."""
    pod = shop("order-api", SHOP_SLOTS="1")
    pod.outbound = Script(customer_api=[200], payment_api=[503, 503])
    ask(pod, "POST", "/api/v1/orders")
    pod.behaviour = Behaviour(fail_ratio=1.0)
    ask(pod, "GET", "/api/v1/orders")
    assert pod.slots.free == 1


def test_a_failing_pod_fails_its_share() -> None:
    """1000 requests at 30 %: 25-35 % are refused with the wished status, health never."""
    pod = shop("payment-api")
    pod.behaviour = Behaviour(fail_ratio=0.3, fail_status=502)
    statuses = [ask(pod, "GET", "/api/v1/payments").status for _ in range(1000)]
    assert set(statuses) == {200, 502}
    assert 250 <= statuses.count(502) <= 350
    assert ask(pod, "GET", "/api/v1/payments/health").status == 200


def test_behaviour_does_not_shift_the_service_times() -> None:
    """A slow pod draws the same service times as before, so runs stay comparable."""
    plain, wrong = (shop("saga-tracker", SHOP_MEAN_S="0.000001") for _ in range(2))
    wrong.behaviour = Behaviour(slow_s=0.000001)
    for pod in (plain, wrong):
        for _ in range(5):
            ask(pod, "GET", "/api/v1/saga")
    assert plain.times.draw() == wrong.times.draw()


def test_behaviour_is_set_by_who_knows_the_token() -> None:
    """A POST with the token changes the behaviour; without it, or malformed, nothing changes."""
    pod = shop("payment-api", SHOP_TOKEN="t")
    body = json.dumps(Behaviour(fail_ratio=0.5)._asdict()).encode()
    token = {"x-shop-token": "t"}
    assert ask(pod, "POST", "/-/behaviour", {"x-shop-token": "wrong"}, body).status == 403
    assert ask(pod, "POST", "/-/behaviour", token, b'{"slow":1}').status == 400
    assert ask(pod, "POST", "/-/behaviour", token, b"[]").status == 400
    assert ask(pod, "POST", "/-/behaviour", token, b"{").status == 400
    assert ask(pod, "GET", "/-/behaviour", token).status == 405
    assert pod.behaviour == Behaviour()
    assert ask(pod, "POST", "/-/behaviour", token, body).status == 200
    assert pod.behaviour == Behaviour(fail_ratio=0.5)


def test_a_stopping_pod_is_unready_but_still_works() -> None:
    """After SIGTERM the health checks say no, and requests on the way are still answered."""
    pod = shop("product-api")
    pod.ready = False
    assert ask(pod, "GET", "/healthz").status == 503
    assert ask(pod, "GET", "/api/v1/products/health").status == 503
    assert ask(pod, "GET", "/api/v1/products").status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHOP_SERVICE", "evil-api"),
        ("SHOP_MEAN_S", "fast"),
        ("SHOP_MEAN_S", "nan"),
        ("SHOP_SLOTS", "-1"),
        ("SHOP_OUTBOUND", "http://10.0.0.1:80"),
        ("SHOP_OUTBOUND", "https://127.0.0.1:80"),
        ("SHOP_OUTBOUND", ""),
    ],
)
def test_bad_environments_are_named(name: str, value: str) -> None:
    """A variable that cannot be used stops the pod, and the message names it."""
    base = {"SHOP_SERVICE": "order-api", "SHOP_OUTBOUND": "http://127.0.0.1:1"}
    with pytest.raises(ValueError, match=name):
        read_settings(base | {name: value})
