"""The short way of a request that is in order: its acts are asked for most.

FastAPI solves a route's dependencies one by one and opens the edge in a thread before it calls the endpoint in another. Where body and
address are what the route takes, nothing of that can refuse: the endpoint is called at once, in one thread with its edge. Whatever is
not in order goes the ordinary way, which says so, and in the ordinary order: who asks comes before what is wrong with the body.
"""

from collections.abc import Callable, Coroutine
from typing import Any, Final, get_type_hints

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import TypeAdapter
from starlette.requests import ClientDisconnect

from api.turns import turn
from api.who import bearer_of
from api.wiring import open_edge

_MOST_BYTES: Final = 64 * 1024
"""Of a body that goes the short way; longer ones are watched while they are read."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """A route whose endpoint takes values of the address, perhaps a JSON body, and an `edge`, and returns a response."""

    def get_route_handler(self) -> Handler:
        """What answers a request of this route."""
        ordinary: Handler = super().get_route_handler()
        adapters = {
            name: TypeAdapter[Any](hint)
            for name, hint in get_type_hints(self.endpoint, include_extras=True).items()
            if name not in ("edge", "return")
        }
        endpoint: Callable[..., Response] = self.endpoint
        with_body = not adapters.keys() <= self.param_convertors.keys()

        def do(
            request: Request, bearer: HTTPAuthorizationCredentials | None, values: dict[str, Any]
        ) -> Response:
            told = request.headers if with_body else {}  # whoever only reads is asked for neither
            with open_edge(request, bearer, told.get("if-match"), told.get("idempotency-key")) as edge:
                return endpoint(**values, edge=edge)

        async def handle(request: Request) -> Response:
            values = await _values(request, adapters, with_body=with_body)
            if values is None:
                return await ordinary(request)
            bearer = await bearer_of(request)
            async with turn():
                return await run_in_threadpool(do, request, bearer, values)

        return handle


async def _values(
    request: Request, adapters: dict[str, TypeAdapter[Any]], *, with_body: bool
) -> dict[str, Any] | None:
    """What the endpoint is called with, None where the ordinary way must see the request."""
    if with_body and not _is_plain(request):
        return None
    try:
        body = await request.json() if with_body else None
        return {
            name: adapter.validate_python(request.path_params.get(name, body))
            for name, adapter in adapters.items()
        }
    except ClientDisconnect:
        raise HTTPException(400, "There was an error parsing the body") from None
    except (ValueError, RecursionError):
        return None  # no JSON, no UTF-8, a number beyond all, too deep, not what the route takes


def _is_plain(request: Request) -> bool:
    """Whether the body is JSON of a length that need not be watched."""
    length = request.headers.get("content-length", "")
    short = length.isascii() and length.isdigit() and len(length) < 9 and 0 < int(length) <= _MOST_BYTES
    return short and request.headers.get("content-type") in _JSON


_JSON: Final = frozenset({"application/json", "application/json; charset=utf-8"})
