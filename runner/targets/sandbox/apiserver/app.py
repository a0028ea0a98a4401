"""The HTTP side of the API server: who may ask, what is asked for, what is answered."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from runner.targets.sandbox.apiobjects import Obj
from runner.targets.sandbox.apiserver import discovery, disruption
from runner.targets.sandbox.apiserver.authorisation import attempt_of, require
from runner.targets.sandbox.apiserver.bodies import decode
from runner.targets.sandbox.apiserver.deletion import delete, delete_options, is_garbage
from runner.targets.sandbox.apiserver.errors import StatusError, success
from runner.targets.sandbox.apiserver.kinds import PODS
from runner.targets.sandbox.apiserver.lifecycle import (
    Place,
    WriteOptions,
    create,
    existing,
    replace,
    show,
)
from runner.targets.sandbox.apiserver.logs import log_url, pass_log
from runner.targets.sandbox.apiserver.patching import patch_object, patch_scale, patch_type
from runner.targets.sandbox.apiserver.routes import Route, parse_route, truthy
from runner.targets.sandbox.apiserver.selectors import object_test
from runner.targets.sandbox.apiserver.store import Store
from runner.targets.sandbox.apiserver.streams import stream_watch, watch_options
from runner.targets.sandbox.apiserver.subresources import bind, evict, review, scale_of, set_scale
from runner.targets.sandbox.apiserver.tables import (
    metadata_only,
    table,
    wants_metadata,
    wants_table,
)

log = logging.getLogger(__name__)

BODY_MAX = 3 * 1024 * 1024
HEALTH = ("/healthz", "/livez", "/readyz")
NOT_ALLOWED = "the server does not allow this method on the requested resource"
METHOD_VERBS = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ApiServer:
    """One API server's parts.

    Attributes:
        store: All objects.
        token: The bearer token of its one user.
        hosts: Values of the Host header that are answered.
        session: Connections to kubelets.
    """

    store: Store
    token: str = field(repr=False)
    hosts: frozenset[str]
    session: aiohttp.ClientSession

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[self._guard], client_max_size=BODY_MAX)
        app.router.add_route("*", "/{path:.*}", self._dispatch)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse foreign hosts and callers; answer every refusal and failure as a Status."""
        try:
            self._admit(request)
            return await handler(request)
        except StatusError as error:
            return _json(error.body(), error.code)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, f"the body of the request is larger than {BODY_MAX} bytes")
        except ConnectionResetError:
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _refusal(500, "the API server has made a mistake; see its log")

    def _admit(self, request: web.Request) -> None:
        if request.headers.get("Host", "").lower() not in self.hosts:
            raise StatusError(421, "this server does not answer for that host")
        scheme, token, user = self._credentials(request)
        known = hmac.compare_digest(token.encode(), self.token.encode())
        if scheme.lower() != "bearer" or not known or user[:1] not in ("", "."):
            raise StatusError(401, "Unauthorized")

    def _credentials(self, request: web.Request) -> tuple[str, str, str]:
        """The scheme, the token, and what stands behind the token."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme, given.strip()[: len(self.token)], given.strip()[len(self.token) :]

    def _user(self, request: web.Request) -> str:
        """Name of the user of a request that was admitted; empty for the admin."""
        return self._credentials(request)[2][1:] or request.headers.get("Impersonate-User", "")

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            about = self._about(request)
            if about is not None:
                return about
        route = parse_route(request.path)
        self._authorise(request, route)
        if route.subresource:
            return await self._subresource(request, route)
        if request.method in {"GET", "HEAD"}:
            return await self._read(request, route.place)
        return await self._write(request, route.place)

    def _authorise(self, request: web.Request, route: Route) -> None:
        place = route.place
        user = self._user(request)
        if not user or place.kind.verbs == ("create",):  # Anybody may ask for his rights.
            return
        attempt = attempt_of(
            request.method,
            place.kind,
            (place.namespace, place.name),
            subresource=route.subresource,
            watch=truthy(request.query.get("watch")),
        )
        require(self.store, user, attempt)

    def _about(self, request: web.Request) -> web.Response | None:
        """Answer what is about the server itself; ``None`` when the path names objects."""
        path = request.path.rstrip("/")
        if path in HEALTH:
            return web.Response(text="ok")
        document = discovery.document(path, request.headers)
        if document is None:
            return None
        if document.get("kind") == "APIGroupDiscoveryList":
            return _json(document, content_type=discovery.AGGREGATED)
        return _json(document)

    async def _read(self, request: web.Request, place: Place) -> web.StreamResponse:
        _allow(place, "get")
        query = request.query
        accept = request.headers.get("Accept", "")
        if place.name and not truthy(query.get("watch")):
            obj = show(place, existing(self.store, place))
            if wants_table(accept):
                version = obj["metadata"]["resourceVersion"]
                return _json(table(place.kind, [obj], version, query.get("includeObject", "")))
            return _json(metadata_only(obj) if wants_metadata(accept) else obj)
        fields = query.get("fieldSelector", "")
        if place.name:
            fields = f"metadata.name={place.name}"
        matches = object_test(query.get("labelSelector", ""), fields)
        if truthy(query.get("watch")):
            options = watch_options(request, place, matches)
            return await stream_watch(request, self.store, place, options)
        found = [obj for obj in self.store.select(place.kind, place.namespace) if matches(obj)]
        version = str(self.store.version)
        shown = [show(place, obj) for obj in found]
        if wants_table(accept):
            return _json(table(place.kind, shown, version, query.get("includeObject", "")))
        if wants_metadata(accept):
            return _json(_list("PartialObjectMetadata", "meta.k8s.io/v1", version, shown, True))
        return _json(_list(place.kind.kind, place.api_version, version, shown, False))

    async def _write(self, request: web.Request, place: Place) -> web.StreamResponse:
        verb = METHOD_VERBS.get(request.method, request.method.lower())
        if verb == "delete" and not place.name:
            verb = "deletecollection"
        if (verb == "create") == bool(place.name) and verb != "deletecollection":
            raise StatusError(405, NOT_ALLOWED)
        _allow(place, verb)
        body = decode(await request.read(), request.headers.get("Content-Type", ""))
        if place.kind.verbs == ("create",):
            return _json(review(self.store, self._user(request), place.kind.kind, body), 201)
        if verb.startswith("delete"):
            return self._delete(request, place, body)
        options = write_options(request)
        if verb == "create":
            obj, code = create(self.store, _with_namespace(place, body), body, options), 201
        elif verb == "update":
            obj, code = replace(self.store, place, body, options), 200
        else:
            media = patch_type(request.headers.get("Content-Type", ""))
            obj, created = patch_object(self.store, place, media, body, options)
            code = 201 if created else 200
        self._settle(place, obj, dry_run=options.dry_run)
        return self._answer(request, place, obj, code)

    def _settle(self, place: Place, obj: Obj, *, dry_run: bool = False) -> None:
        """What follows from a write: orphans of dead owners go, budgets are counted anew."""
        if dry_run:
            return
        namespace = obj["metadata"].get("namespace", "")
        stored = self.store.get(place.kind, namespace, obj["metadata"]["name"])
        if stored is not None and is_garbage(self.store, stored):
            delete(self.store, place.kind, stored, delete_options(None, {}))
        disruption.refresh(self.store, place.kind, namespace)

    def _answer(self, request: web.Request, place: Place, obj: Obj, code: int) -> web.Response:
        shown = show(place, obj)
        if wants_table(request.headers.get("Accept", "")):
            version = obj["metadata"].get("resourceVersion", "")
            return _json(table(place.kind, [shown], version), code)
        return _json(shown, code)

    def _delete(self, request: web.Request, place: Place, body: Any) -> web.Response:
        options = delete_options(body, dict(request.query))
        if not place.name:
            matches = object_test(
                request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
            )
            found = [obj for obj in self.store.select(place.kind, place.namespace) if matches(obj)]
            for obj in found:
                metadata = obj["metadata"]
                current = self.store.get(
                    place.kind, metadata.get("namespace", ""), metadata["name"]
                )
                if current is not None:
                    delete(self.store, place.kind, current, options)
            disruption.refresh(self.store, place.kind, place.namespace)
            shown = [show(place, obj) for obj in found]
            version = str(self.store.version)
            return _json(_list(place.kind.kind, place.api_version, version, shown, False))
        live = existing(self.store, place)
        obj, gone = delete(self.store, place.kind, live, options)
        if not options.dry_run:
            disruption.refresh(self.store, place.kind, place.namespace)
        if gone and place.kind is not PODS:
            return _json(success(place.kind, place.name, live["metadata"]["uid"]))
        return self._answer(request, place, obj, 200)

    async def _subresource(self, request: web.Request, route: Route) -> web.StreamResponse:
        place, name = route.place, route.subresource
        if name == "log" and request.method == "GET":
            url = log_url(self.store, existing(self.store, place), request.query)
            return await pass_log(request, self.session, url, self.token)
        if request.method == "GET" and name in {"status", "scale"}:
            obj = existing(self.store, place)
            return _json(scale_of(obj) if name == "scale" else show(place, obj))
        body = decode(await request.read(), request.headers.get("Content-Type", ""))
        options = write_options(request, name)
        answer = self._write_subresource(request, route, body, options)
        found = self.store.get(place.kind, place.namespace, place.name)
        if found is not None:
            self._settle(place, found, dry_run=options.dry_run)
        return answer

    def _write_subresource(
        self, request: web.Request, route: Route, body: Any, options: WriteOptions
    ) -> web.Response:
        place, name, method = route.place, route.subresource, request.method
        if name == "eviction" and method == "POST":
            return _json(evict(self.store, place, body, dry_run=options.dry_run), 201)
        if name == "binding" and method == "POST":
            return _json(bind(self.store, place, body, dry_run=options.dry_run), 201)
        if name == "scale" and method == "PUT":
            return _json(set_scale(self.store, place, body, options))
        if method == "PATCH":
            media = patch_type(request.headers.get("Content-Type", ""))
            if name == "scale":
                return _json(patch_scale(self.store, place, media, body, options))
            obj, _ = patch_object(self.store, place, media, body, options)
            return _json(show(place, obj))
        if method == "PUT" and name in {"status", "finalize"}:
            return _json(show(place, replace(self.store, place, body, options)))
        raise StatusError(405, NOT_ALLOWED)


def write_options(request: web.Request, subresource: str = "") -> WriteOptions:
    """The options of a write from its query; the user agent names the manager as a last resort.

    Raises:
        StatusError: 400 for a dry run of an unknown kind.
    """
    dry_run = request.query.get("dryRun", "")
    if dry_run not in {"", "All"}:
        raise StatusError(400, f'Invalid value: "{dry_run}": dryRun must be All')
    agent = request.headers.get("User-Agent", "").split("/", maxsplit=1)[0].strip()
    manager = request.query.get("fieldManager") or agent or "unknown"
    return WriteOptions(
        manager=manager[:128],
        dry_run=bool(dry_run),
        force=truthy(request.query.get("force")),
        subresource=subresource,
    )


def _allow(place: Place, verb: str) -> None:
    if verb not in place.kind.verbs:
        raise StatusError(405, NOT_ALLOWED)


def _with_namespace(place: Place, body: Any) -> Place:
    """Refuse to create a namespaced object without a namespace in the URL."""
    if place.kind.namespaced and not place.namespace:
        raise StatusError(405, "an object of this kind must be created in a namespace")
    return place


def _list(kind: str, api_version: str, version: str, items: list[Obj], reduced: bool) -> Obj:
    return {
        "kind": f"{kind}List",
        "apiVersion": api_version,
        "metadata": {"resourceVersion": version},
        "items": [metadata_only(item) for item in items] if reduced else items,
    }


def _refusal(code: int, message: str) -> web.Response:
    return _json(StatusError(code, message).body(), code)


def _json(value: Obj, code: int = 200, content_type: str = "application/json") -> web.Response:
    body = json.dumps(value, separators=(",", ":")).encode()
    return web.Response(body=body, status=code, headers={"Content-Type": content_type})
