"""The six services of the shop: what each answers, and what an order asks of the others.

Every answer but the health checks takes a worker slot for a drawn service time. An order holds its
slot while it waits for the services that it calls, as a thread per request does: slow payments
therefore use up the order service, which is what its circuit breaker has to prevent.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from runner.targets.sandbox.shop.behaviour import Behaviour, from_json
from runner.targets.sandbox.shop.http1 import Request, Response, json_response
from runner.targets.sandbox.shop.outbound import (
    Answer,
    CallFailedError,
    CallTimeoutError,
    Outbound,
)
from runner.targets.sandbox.shop.work import Leak, OverloadedError, ServiceTime, Slots

logger = logging.getLogger(__name__)

HEALTH_PATH: Final = "/healthz"
BEHAVIOUR_PATH: Final = "/-/behaviour"
TOKEN_HEADER: Final = "x-shop-token"  # noqa: S105 - the header's name
PAYMENT_ATTEMPTS: Final = 2

# Istio leaves it to the application to hand these on to the services that it calls.
PROPAGATED: Final = ("x-request-id", "traceparent", "tracestate", "x-version", "user-group")


class Route(NamedTuple):
    """The paths of a service, the name of what it keeps, and the methods that it knows."""

    prefix: str
    thing: str
    methods: frozenset[str]


_READ: Final = frozenset({"GET"})
_BOTH: Final = frozenset({"GET", "POST"})
ROUTES: Final[Mapping[str, Route]] = {
    "customer-api": Route("/api/v1/customers", "customer", _BOTH),
    "order-api": Route("/api/v1/orders", "order", _BOTH),
    "product-api": Route("/api/v1/products", "product", _READ),
    "payment-api": Route("/api/v1/payments", "payment", _BOTH),
    "recommendation-api": Route("/api/v1/recommendations", "recommendation", _READ),
    "saga-tracker": Route("/api/v1/saga", "saga", _READ),
}


class ShopSettings(NamedTuple):
    """What one pod of the shop is started with; see :func:`read_settings` for the variables."""

    service: str
    pod: str
    version: str
    address: str
    port: int
    slots: int
    queue: int
    mean_s: float
    sigma: float
    seed: str
    outbound: tuple[str, int] | None
    call_timeout_s: float
    drain_s: float
    token: str


def read_settings(environment: Mapping[str, str]) -> ShopSettings:
    """Read the ``SHOP_`` variables.

    Raises:
        ValueError: A variable is missing or cannot be read; the message names it.
    """
    service = environment.get("SHOP_SERVICE", "")
    if service not in ROUTES:
        raise ValueError(f"SHOP_SERVICE={service!r} is not one of {', '.join(ROUTES)}")
    pod = environment.get("SHOP_POD", service)
    outbound = environment.get("SHOP_OUTBOUND", "")
    if service == "order-api" and not outbound:
        raise ValueError("SHOP_OUTBOUND is missing: order-api calls other services")
    return ShopSettings(
        service=service,
        pod=pod,
        version=environment.get("SHOP_VERSION", "v1"),
        address=environment.get("SHOP_ADDRESS", "127.0.0.1"),
        port=int(_number(environment, "SHOP_PORT", "8080", 65_535)),
        slots=int(_number(environment, "SHOP_SLOTS", "16", 10_000)),
        queue=int(_number(environment, "SHOP_QUEUE", "100", 100_000)),
        mean_s=_number(environment, "SHOP_MEAN_S", "0.02", 3600),
        sigma=_number(environment, "SHOP_SIGMA", "0.35", 3),
        seed=f"{environment.get('SHOP_SEED', '1')}/{pod}",
        outbound=_proxy(outbound) if outbound else None,
        call_timeout_s=_number(environment, "SHOP_CALL_TIMEOUT_S", "10", 3600),
        drain_s=_number(environment, "SHOP_DRAIN_S", "0.5", 3600),
        token=environment.get("SHOP_TOKEN", ""),
    )


def _number(environment: Mapping[str, str], name: str, default: str, most: float) -> float:
    text = environment.get(name, default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= most:
        raise ValueError(f"{name}={text!r} is not a number between 0 and {most:g}")
    return value


def _proxy(text: str) -> tuple[str, int]:
    url = urlsplit(text)
    if url.scheme != "http" or not (url.hostname or "").startswith("127.") or not url.port:
        raise ValueError(f"SHOP_OUTBOUND={text!r} is not http://127.x.y.z:<port>")
    return str(url.hostname), url.port


class Shop:
    """One pod of one service."""

    def __init__(self, settings: ShopSettings) -> None:
        self.settings = settings
        self.route = ROUTES[settings.service]
        self.ready = True
        self.created = 0
        self.behaviour = Behaviour()
        self.times = ServiceTime(settings.mean_s, settings.sigma, settings.seed)
        self.slots = Slots(settings.slots, settings.queue)
        self.leak = Leak()
        self.outbound: Outbound | None = None
        if settings.outbound is not None:
            self.outbound = Outbound(*settings.outbound, settings.call_timeout_s)

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        if request.path == HEALTH_PATH:
            return json_response(200 if self.ready else 503, {"ready": self.ready})
        if request.path == BEHAVIOUR_PATH:
            return self._behave(request)
        prefix = self.route.prefix
        if request.path != prefix and not request.path.startswith(prefix + "/"):
            return self._say(404, error="no such path")
        identity = request.path[len(prefix) + 1 :]
        if "/" in identity or request.path == prefix + "/":
            return self._say(404, error="no such path")
        if request.method not in self.route.methods or (identity and request.method == "POST"):
            return self._say(405, error="method not allowed")
        if identity == "health":
            state = "up" if self.ready else "stopping"
            return self._say(200 if self.ready else 503, health=state)
        try:
            await self.slots.take()
        except OverloadedError:
            return self._say(503, error="all workers are busy and the queue is full")
        try:
            return await self._work(request, identity)
        finally:
            self.slots.give_back()

    async def _work(self, request: Request, identity: str) -> Response:
        wrong = self.behaviour
        # The draw comes first, so that a behaviour does not shift the stream of service times.
        time_s = self.times.draw()
        if wrong.fail_ratio and self.times.random.random() < wrong.fail_ratio:
            if wrong.slow_s:
                await asyncio.sleep(wrong.slow_s)
            return self._say(wrong.fail_status, error="failing on request")
        if time_s + wrong.slow_s > 0.0:
            await asyncio.sleep(time_s + wrong.slow_s)
        if request.method == "POST":
            if self.settings.service == "order-api":
                return await self._order(request)
            return self._say(201, **{self.route.thing: self._identity(request)})
        if identity:
            return self._say(200, **{self.route.thing: identity})
        return self._say(200, **{self.route.thing + "s": ["1", "2", "3"]})

    async def _order(self, request: Request) -> Response:
        order = self._identity(request)
        headers = {name: request.headers[name] for name in PROPAGATED if name in request.headers}
        customer, payment = await asyncio.gather(
            self._call("GET", "customer-api", "/api/v1/customers/1", headers, attempts=1),
            self._call(
                "POST",
                "payment-api",
                "/api/v1/payments",
                headers | {"content-type": "application/json", "idempotency-key": order},
                json.dumps({"order": order}).encode(),
                attempts=PAYMENT_ATTEMPTS,
            ),
        )
        for name, status in (("customer-api", customer), ("payment-api", payment)):
            if status >= 300:
                code = 504 if status == 504 else 503
                return self._say(code, error=f"{name} answered {status}", order=order)
        return self._say(201, order=order)

    def _identity(self, request: Request) -> str:
        """The same for the same idempotency key, so that a repeated payment is one payment."""
        self.created += 1
        return request.headers.get("idempotency-key", f"{self.settings.pod}-{self.created}")[:80]

    async def _call(
        self,
        method: str,
        host: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        attempts: int,
    ) -> int:
        """The status of the last attempt; 502 for no connection and 504 for no answer in time."""
        assert self.outbound is not None  # noqa: S101 - read_settings demands it of order-api
        status = 0
        for _ in range(attempts):
            try:
                answer: Answer = await self.outbound.call(method, host, path, headers, body)
                status = answer.status
            except CallTimeoutError as error:
                status = 504
                logger.warning("%s", error)
            except CallFailedError as error:
                status = 502
                logger.warning("%s: %s", host, error)
            if status < 500:
                break
        return status

    def _behave(self, request: Request) -> Response:
        if request.method != "POST":
            return self._say(405, error="method not allowed")
        if self.settings.token and request.headers.get(TOKEN_HEADER) != self.settings.token:
            return self._say(403, error="the pod's token is missing or wrong")
        try:
            data = json.loads(request.body or b"{}")
            self.behaviour = from_json(data if isinstance(data, dict) else {"": data})
        except ValueError as error:
            return self._say(400, error=str(error))
        self.leak.set_rate(self.behaviour.leak_bytes_per_s)
        logger.info("behaviour: %s", self.behaviour)
        return json_response(200, self.behaviour._asdict())

    def _say(self, status: int, **data: object) -> Response:
        settings = self.settings
        about = {"service": settings.service, "pod": settings.pod, "version": settings.version}
        return json_response(status, about | data, ("x-pod", settings.pod))
