"""What a route is handed: a session, the actor, the instant, the calendars; and `Edge.perform`, which commits once."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, NoReturn, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials
from psycopg.errors import QueryCanceled
from pydantic import BaseModel
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from api import grants, shield
from api.problems import MEDIA_TYPE, BadHeader, Unauthenticated, respond
from api.routes import query_names
from api.who import Bearer, Cookie, ForgedRequest, Who, address_of, identify
from hotline import numbers, requests
from hotline.access import Actor
from hotline.auditing import alerts, audit
from hotline.calendars import Calendars, newest_version
from hotline.case import Desk, Office
from hotline.models import Ticket
from hotline.people import accounts, sessions
from hotline.settings import Settings
from hotline.storage.replica import Fitness, Replica
from hotline.views import Reader
from knowledge_base.library import Library
from workflow.errors import AccessRefused, ActNotGranted, OutOfSight, RuleBroken
from workflow.vocabulary import AuditKind

T = TypeVar("T")


@dataclass(slots=True)
class Runtime:
    """What one server process holds."""

    settings: Settings
    engine: Engine
    office: Office
    clock: Callable[[], datetime]
    replica: Replica | None = None
    library: Library = field(init=False)

    def __post_init__(self) -> None:
        self.library = Library(self.settings.data_dir / "knowledge-index")


def system_clock() -> datetime:
    """The one place the API reads the time."""
    return datetime.now(UTC)


IfMatch = Annotated[
    str | None, Header(description='上次看到的版本（ETag），如 "3"；他人已更新时返回 412 并列出变化')
]


def expected_version(if_match: str | None) -> int | None:
    """The version in If-Match, None where there is none or it is `*`. Raises `BadHeader`."""
    if if_match is None or if_match.strip() == "*":
        return None
    match = re.fullmatch(r'(?:W/)?"(\d{1,9})"', if_match.strip())
    if match is None:
        raise BadHeader('If-Match 应为工单的 ETag，如 "3"。', field="If-Match")
    return int(match[1])


_KEY = "^[!-~]+$"


IdempotencyKey = Annotated[
    str | None,
    Header(
        description="同一请求重试时保持不变；七天内重复请求得到首次的结果",
        json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": _KEY},
    ),
]


def checked_key(key: str | None) -> str | None:
    """The Idempotency-Key, printable ASCII. Raises `BadHeader`."""
    if key is not None and (len(key) > 255 or not re.fullmatch(_KEY, key)):
        raise BadHeader("Idempotency-Key 应为 1—255 个可见 ASCII 字符。", field="Idempotency-Key")
    return key


def refuse_unknown_query(request: Request) -> None:
    """Refuse a query parameter the address does not know: a misspelt one would silently not count. Raises `RequestValidationError`."""
    if not request.query_params:
        return
    known = query_names(request.scope["route"])
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"type": "extra_forbidden", "loc": ("query", name), "msg": ""} for name in unknown]
        )


@dataclass(slots=True)
class Edge:
    """One request's session, actor and instant; commits what a command did, before the response is sent."""

    request: Request
    runtime: Runtime
    session: Session
    who: Who
    at: datetime
    expected_version: int | None
    key: str | None
    behind: timedelta = timedelta()
    """How old what `session` reads may be: nothing at the primary."""

    @property
    def as_of(self) -> datetime:
        """The instant since which what is read here may have changed."""
        return self.at - self.behind

    @property
    def actor(self) -> Actor:
        """Who asks."""
        return self.who.actor

    def audit(self, kind: AuditKind, **more: Any) -> None:
        """Record in the audit trail what this actor does, in this transaction; see `hotline.auditing.audit.record`."""
        algorithm = self.runtime.office.policy.algorithm
        audit.record(self.session, kind, at=self.at, actor=self.actor, algorithm=algorithm, **more)

    def refused(self, operation: str, number: str, refusal: RuleBroken) -> None:
        """Undo one act of a batch that was not done, and record it where it is a refusal like that of a whole request."""
        self.session.rollback()
        if isinstance(refusal, REFUSALS):
            _record_refusal(self.session, self.request, operation, self.who, refusal, self.at, number)

    def desk(self) -> Desk:
        """The desk the actor works at."""
        return Desk(self.session, self.actor, self.at, self.runtime.office, self.expected_version)

    def reader(self) -> Reader:
        """The actor's view of tickets, by the calendars in force."""
        self.calendars()
        return Reader(self.session, self.actor, self.runtime.office, self.at)

    def calendars(self) -> Calendars:
        """The calendars in force."""
        self.runtime.office.calendars.at(self.session, newest_version(self.session))
        return self.runtime.office.calendars

    def perform(
        self,
        order: BaseModel | None,
        command: Callable[[Desk], T],
        render: Callable[[T], BaseModel],
        *,
        status: int = 200,
        version: Callable[[T], int] | None = None,
        extra_fingerprint: str = "",
        secret: bool = False,
    ) -> Response:
        """Run `command` once per Idempotency-Key, keep its answer with it, commit, and answer.

        A `secret` answer (a password, a token, a caller's field) is told once and kept nowhere: a repeated request learns only that
        it was done.
        """
        if self.key is not None:
            fingerprint = self._fingerprint(order, extra_fingerprint)
            kept = requests.begin(self.session, self.actor.key, self.key, fingerprint, self.at)
            if kept is not None:
                self.session.rollback()
                return _answer(kept, replayed=True)
        answer = self._done(command, render, status, version)
        if self.key is not None:
            requests.keep(self.session, self.actor.key, self.key, _TOLD_ONCE if secret else answer)
        self.session.commit()
        return _answer(answer, replayed=False)

    def perform_act(
        self,
        order: BaseModel,
        command: Callable[[Desk], T],
        render: Callable[[T], BaseModel],
        *,
        status: int = 200,
        version: Callable[[T], int],
        extra_fingerprint: str = "",
    ) -> Response:
        """`perform` for acts on tickets, which change nothing but rows: the key is claimed last, in one statement with the answer.

        A repeated request finds out that it is one when it is refused (the ticket has moved on) or at the end; what it did until then
        is rolled back, and it earns the first one's answer.
        """
        if self.key is None:
            answer = self._done(command, render, status, version)
            self.session.commit()
            return _answer(answer, replayed=False)
        who, fingerprint = self.actor.key, self._fingerprint(order, extra_fingerprint)
        try:
            answer = self._done(command, render, status, version)
            if requests.keep_unclaimed(self.session, who, self.key, fingerprint, self.at, answer):
                self.session.commit()
                return _answer(answer, replayed=False)
            refused = None
        except RuleBroken as refusal:
            refused = refusal
        self.session.rollback()
        kept = requests.earned(self.session, who, self.key, fingerprint)
        self.session.rollback()
        if kept is not None:
            return _answer(kept, replayed=True)
        raise refused or requests.KeyReused(  # a week old, and forgotten this very moment
            "该 Idempotency-Key 已过期，请为新请求换用新的键。", field="Idempotency-Key"
        )

    def _done(
        self,
        command: Callable[[Desk], T],
        render: Callable[[T], BaseModel],
        status: int,
        version: Callable[[T], int] | None,
    ) -> requests.Kept:
        """What `command` earned, done but not committed."""
        result = command(self.desk())
        etag = f'"{version(result)}"' if version else None
        return requests.Kept(status, render(result).model_dump_json(), etag)

    def _fingerprint(self, order: BaseModel | None, extra: str) -> str:
        """What this request is, under this installation's own key: what is kept of it confirms no guess at a phone in it."""
        said = (
            self.request.method,
            self.request.url.path,
            order.model_dump_json() if order else "",
            extra,
        )
        return self.runtime.office.sealer.digest("\n".join(said)).hex()


_TOLD_ONCE = requests.Kept(
    409,
    bytes(
        respond(
            409,
            "已经办理",
            "该请求已经办理；其中的一次性信息或来电人信息只返回一次，不再重复提供，请重新发起。",
            "told_once",
        ).body
    ).decode(),
    None,
)


def _answer(kept: requests.Kept, *, replayed: bool) -> Response:
    headers = {"ETag": kept.etag} if kept.etag else {}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    media_type = MEDIA_TYPE if kept.status >= 400 else "application/json"
    return Response(kept.body, status_code=kept.status, media_type=media_type, headers=headers)


REFUSALS = (AccessRefused, ActNotGranted, OutOfSight, Unauthenticated, ForgedRequest, grants.Unfinished)


@contextmanager
def open_edge(
    request: Request, bearer: HTTPAuthorizationCredentials | None, if_match: str | None, key: str | None
) -> Iterator[Edge]:
    """One session a request; whatever was not committed is rolled back. Who asks, and whether the operation is open to them, is
    settled before anything else; a refusal is recorded."""
    runtime: Runtime = request.app.state.runtime
    at = runtime.clock()
    operation: str = request.scope["route"].operation_id
    who: Who | None = None
    with Session(runtime.engine, expire_on_commit=False) as session:
        try:
            shield.check_credential(request)
            who = identify(request, session, bearer, at, runtime.settings)
            shield.check_actor(request, who.actor)
            grants.check(operation, who.actor, who.owed)
            refuse_unknown_query(request)
            yield Edge(request, runtime, session, who, at, expected_version(if_match), checked_key(key))
        except shield.TooManyRequests as refusal:
            session.rollback()
            if refusal.first:
                _record_refusal(session, request, operation, who, refusal, at)
            raise
        except REFUSALS as refusal:
            session.rollback()
            if who is None and isinstance(refusal, Unauthenticated):
                _count_failure(request, session)
            if bearer is not None or who is not None or request.cookies:
                _record_refusal(session, request, operation, who, refusal, at)
            raise


def _count_failure(request: Request, session: Session) -> None:
    """Charge a credential that is not good: one that was issued once to itself, any other to the address it came from."""
    credential = shield.credential_of(request)
    if credential is not None:
        issued = accounts.was_issued(session, credential) or sessions.was_opened(session, credential)
        shield.failed(request, stale=credential if issued else None)


def _record_refusal(
    session: Session,
    request: Request,
    operation: str,
    who: Who | None,
    refusal: RuleBroken,
    at: datetime,
    number: str | None = None,
) -> None:
    """Record a refusal; of those of nobody known only the first few a minute and address, the rest is counted into one entry."""
    office: Office = request.app.state.runtime.office
    address = address_of(request)
    if who is None and not office.unknown.admit(address, at):
        return
    number = number if number is not None else request.path_params.get("number")
    what = {"operation": operation, "code": refusal.code}
    audit.record(
        session,
        AuditKind.REFUSED,
        at=at,
        actor=who.actor if who else None,
        address=address,
        ticket_id=_ticket_id(session, str(number)) if number is not None else None,
        what=what | ({"number": str(number)[:40]} if number is not None else {}),
        algorithm=office.policy.algorithm,
    )
    if who is not None:
        alerts.look_at_refusal(session, who.actor, at)
    session.commit()


def _ticket_id(session: Session, said: str) -> int | None:
    try:
        number = numbers.parse(said)
    except RuleBroken:
        return None
    return session.execute(select(col(Ticket.id)).where(col(Ticket.number) == number)).scalar_one_or_none()


@asynccontextmanager
async def _held(opening: AbstractContextManager[Edge]) -> AsyncIterator[Edge]:
    """The edge, opened in a thread; closed in one too unless a commit left nothing to wait for."""
    opened = await run_in_threadpool(opening.__enter__)
    try:
        yield opened
    except Exception as error:
        if not await _in_a_thread_of_its_own(
            partial(opening.__exit__, type(error), error, error.__traceback__)
        ):
            raise
    except BaseException as error:  # cancelled: nothing may be waited for any more
        opening.__exit__(type(error), error, error.__traceback__)
        raise
    else:
        closing = partial(opening.__exit__, None, None, None)
        if opened.session.in_transaction():
            await _in_a_thread_of_its_own(closing)
        else:
            closing()


async def _in_a_thread_of_its_own(closing: Callable[[], bool | None]) -> bool | None:
    """Close, not waiting for one of the threads that may all be waiting for the connection this gives back."""
    return await to_thread.run_sync(closing, limiter=CapacityLimiter(1))


async def edge(
    request: Request,
    bearer: Bearer,
    _cookie: Cookie,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> AsyncIterator[Edge]:
    """Everything a changing route needs. One dependency, not one a piece: each would be a thread of its own."""
    async with _held(open_edge(request, bearer, if_match, idempotency_key)) as opened:
        yield opened


async def reading_edge(request: Request, bearer: Bearer, _cookie: Cookie) -> AsyncIterator[Edge]:
    """Everything a reading route needs."""
    async with _held(open_edge(request, bearer, None, None)) as opened:
        yield opened


AS_OF = "X-As-Of"
"""Says of an answer that it was read at the replica, and of which instant it is at the least."""


async def lagging_edge(
    request: Request, response: Response, bearer: Bearer, _cookie: Cookie
) -> AsyncIterator[Edge]:
    """Everything a route needs that only reads, and may read what is some seconds old: reports, boards, hot spots."""
    async with _held(_open_lagging_edge(request, response, bearer)) as opened:
        yield opened


@contextmanager
def _open_lagging_edge(
    request: Request, response: Response, bearer: HTTPAuthorizationCredentials | None
) -> Iterator[Edge]:
    """An edge whose session is one at the replica where that is fit.

    Who asks and what they may see is settled at the primary, and a refusal is recorded there. Then the route reads at the replica, if
    there is one and it is fit, and the primary's connection is given back; else it reads at the primary.
    """
    with open_edge(request, bearer, None, None) as opened:
        replica = opened.runtime.replica
        if replica is None:
            yield opened
            return
        standing = replica.look(opened.session.connection())
        if standing.fitness is not Fitness.FIT or standing.behind is None:
            yield opened
            return
        opened.session.commit()
        with replica.session() as session:
            opened.session, opened.behind = session, standing.behind
            response.headers[AS_OF] = opened.as_of.astimezone(UTC).isoformat(timespec="milliseconds")
            try:
                yield opened
            except DBAPIError as error:
                # too long a question is no fault of the replica's
                if not isinstance(error.orig, QueryCanceled):
                    replica.failed()
                raise


@dataclass(slots=True)
class Visit:
    """One request of somebody not known yet, who is about to say who they are. The route commits."""

    request: Request
    runtime: Runtime
    session: Session
    at: datetime

    @property
    def address(self) -> str | None:
        """Where the request came from."""
        return address_of(self.request)

    def refuse(self, refusal: RuleBroken) -> NoReturn:
        """Keep what was recorded of a failed try, charge it to its address, and answer with `refusal`."""
        self.session.commit()
        shield.failed(self.request)
        raise refusal


def visit(request: Request) -> Iterator[Visit]:
    """What a route that needs no credentials needs, once its address may still try."""
    runtime: Runtime = request.app.state.runtime
    shield.check_address(request)
    with Session(runtime.engine, expire_on_commit=False) as session:
        yield Visit(request, runtime, session, runtime.clock())


def strict_visit(request: Request) -> Iterator[Visit]:
    """A visit whose address may hold only the parameters it knows."""
    refuse_unknown_query(request)
    yield from visit(request)


def with_example(body: Any) -> dict[str, Any]:
    """A route's `openapi_extra` that shows an example of its JSON body."""
    return {"requestBody": {"content": {"application/json": {"example": body}}}}


EdgeDep = Annotated[Edge, Depends(edge)]
ReadDep = Annotated[Edge, Depends(reading_edge)]
LaggingDep = Annotated[Edge, Depends(lagging_edge)]
"""For reading what may be some seconds old; writes nothing, not even to the audit trail."""
VisitDep = Annotated[Visit, Depends(strict_visit)]
ReturnDep = Annotated[Visit, Depends(visit)]
"""A visit sent on by somebody else, an identity provider, who may add to the address what they like."""
