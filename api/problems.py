"""RFC 9457 problem details in Chinese: what went wrong, the article where the law is the reason, the field, what to do next."""

import errno
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg.errors
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException

from api.routes import operations
from calendar_cn.arrangements import ArrangementInvalid
from calendar_cn.working_days import CalendarRange
from workflow.errors import RuleBroken
from workflow.statute import articles, cite

log = logging.getLogger("hotline.api")
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:hotline12345:problem:illegal_move"])
    title: str = Field(examples=["当前状态不允许"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["工单当前状态为“已归档”，不能进行“派单”。"])
    code: str = Field(examples=["illegal_move"])
    article: str | None = Field(default=None, description="依据的条款，如 14(5)")
    article_cited: str | None = Field(default=None, examples=["第十四条第（五）项"])
    article_text: str | None = None
    field: str | None = None
    errors: list[dict[str, str]] | None = Field(default=None, description="逐字段的错误")


_STATUS: Mapping[str, tuple[int, str]] = {
    "illegal_move": (409, "当前状态不允许"),
    "illegal_step": (409, "当前状态不允许"),
    "act_not_granted": (403, "角色不允许"),
    "access_refused": (403, "没有权限"),
    "order_invalid": (422, "内容不符合要求"),
    "too_late": (409, "已超过法定期限"),
    "clock_behind": (503, "服务器时钟有误"),
    "limit_exceeded": (422, "超过规定的上限"),
    "not_found": (404, "未找到"),
    "version_conflict": (412, "已被他人更新"),
    "already_registered": (409, "已登记"),
    "idempotency_key_reused": (422, "幂等键已被使用"),
    "pack_invalid": (422, "规则包无效"),
    "unauthenticated": (401, "未登录"),
    "sign_in_failed": (401, "登录失败"),
    "locked_out": (429, "已暂时锁定"),
    "out_of_turn": (409, "登录步骤不符"),
    "session_needed": (409, "须以网页登录"),
    "provider_refused": (403, "统一身份认证未通过"),
    "provider_unavailable": (503, "统一身份认证暂不可用"),
    "client_refused": (400, "未签发令牌"),
    "name_taken": (409, "已被使用"),
    "still_in_charge": (409, "仍有工单"),
    "still_in_use": (409, "仍在使用"),
    "sign_in_unfinished": (403, "登录尚未完成"),
    "forged_request": (403, "请求来源无效"),
    "already_decided": (409, "已经处理"),
    "already_said": (409, "已经收到"),
    "export_not_ready": (409, "文件尚未生成"),
    "seal_broken": (409, "数据异常"),
    "key_ring_broken": (503, "密钥环不可用"),
    "unseal_expired": (403, "查看已到期"),
    "too_many_requests": (429, "请求过于频繁"),
    "bad_header": (400, "请求头无效"),
    "too_large": (413, "请求过大"),
    "file_altered": (409, "文件内容已变"),
    "cursor_too_old": (410, "游标已过期"),
    "still_counting": (503, "正在汇总"),
    "fonts_missing": (503, "缺少中文字体"),
    "printing_busy": (503, "正在生成的文件较多"),
    "too_many_streams": (429, "打开的实时更新过多"),
}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words, "content": {"application/problem+json": {}}}
    for status, words in {
        400: "请求头或内容无法解析",
        401: "未登录",
        403: "角色或权限不允许",
        404: "没有这个工单，或不在权限范围内",
        409: "状态不允许，或已超过法定期限",
        412: "已被他人更新",
        413: "请求过大",
        422: "内容不符合要求",
        429: "请求过于频繁",
        503: "暂时不可用，请重试",
    }.items()
}


class Unauthenticated(RuleBroken):
    """No token, or one that is unknown or revoked."""

    code = "unauthenticated"


class BadHeader(RuleBroken):
    """A request header that cannot be read."""

    code = "bad_header"


_MESSAGES: Mapping[str, str] = {
    "missing": "缺少必填项",
    "extra_forbidden": "不认识的字段，请核对拼写",
    "string_too_long": "超过最大长度 {max_length} 个字符",
    "string_too_short": "不能为空",
    "string_type": "应为文本",
    "string_pattern_mismatch": "格式不正确",
    "string_unicode": "包含无法识别的字符",
    "int_type": "应为整数",
    "int_parsing": "应为整数",
    "int_from_float": "应为整数",
    "float_parsing": "应为数字",
    "bool_type": "应为是或否",
    "bool_parsing": "应为 true 或 false",
    "enum": "应为以下之一：{expected}",
    "literal_error": "应为以下之一：{expected}",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "datetime_parsing": "时间格式应为 2026-02-13T10:00:00+08:00",
    "datetime_from_date_parsing": "时间格式应为 2026-02-13T10:00:00+08:00",
    "datetime_type": "应为时间",
    "timezone_aware": "时间须带时区，如 2026-02-13T10:00:00+08:00",
    "date_from_datetime_parsing": "日期格式应为 2026-02-13",
    "date_parsing": "日期格式应为 2026-02-13",
    "json_invalid": "请求内容不是有效的 JSON",
    "model_attributes_type": "应为 JSON 对象",
    "dict_type": "应为 JSON 对象",
    "tuple_type": "应为数组",
    "list_type": "应为数组",
    "too_long": "项数过多（至多 {max_length} 项）",
    "too_short": "至少 {min_length} 项",
    "union_tag_invalid": "不认识的类型，应为：{expected_tags}",
    "union_tag_not_found": "缺少类型标记 {discriminator}",
}


def respond(
    status: int, title: str, detail: str, code: str, *, extra: Mapping[str, Any] | None = None, **fields: Any
) -> JSONResponse:
    """One problem response; None fields are left out."""
    body = {
        "type": f"urn:hotline12345:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }
    body |= {name: value for name, value in fields.items() if value is not None} | dict(extra or {})
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = str((extra or {}).get("retry_after", 2))
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install(app: FastAPI) -> None:
    """Map every failure to a problem response."""
    app.add_exception_handler(RuleBroken, _rule_broken)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ArrangementInvalid, _arrangement)
    app.add_exception_handler(CalendarRange, _calendar_range)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(PoolExhausted, _pool_exhausted)
    app.add_exception_handler(OSError, _system)
    app.add_exception_handler(Exception, _unexpected)


def answer_to(request: Request, error: Exception) -> JSONResponse:
    """The problem response to one failure, for one act of a batch as for a whole request."""
    handlers: tuple[tuple[type[Exception], Callable[[Request, Exception], JSONResponse]], ...] = (
        (RuleBroken, _rule_broken),
        (RequestValidationError, _validation),
        (CalendarRange, _calendar_range),
        (DBAPIError, _database),
        (OSError, _system),
        (PoolExhausted, _pool_exhausted),
    )
    for kind, handler in handlers:
        if isinstance(error, kind):
            return handler(request, error)
    return _unexpected(request, error)


def _rule_broken(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RuleBroken)
    status, title = _STATUS.get(error.code, (422, "不符合规则"))
    cited = cite(error.article) if error.article else None
    text = articles().get(error.article) if error.article else None
    return respond(
        status,
        title,
        error.message,
        error.code,
        extra=error.extra,
        article=error.article,
        article_cited=cited,
        article_text=text,
        field=error.field,
    )


def _validation(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"field": _field(e["loc"], _message(e)), "message": _message(e)} for e in error.errors()[:50]]
    first = errors[0] if errors else {"field": "", "message": "内容不符合要求"}
    detail = "；".join(_said(e["field"], e["message"]) for e in errors[:5]) or first["message"]
    return respond(422, "内容不符合要求", detail, "validation", field=first["field"], errors=errors)


_NAMED: Final = re.compile(r"（([a-z_]+)）$")
"""How a rule about several fields names the one to fill in, at the end of its message."""


def _field(location: tuple[Any, ...], message: str) -> str:
    parts = [_printable(str(part)) for part in location if part not in ("body", "query", "path", "header")]
    named = _NAMED.search(message)
    return ".".join([*parts, named[1]] if named else parts) or "body"


def _said(field: str, message: str) -> str:
    return message if field == "body" or _NAMED.search(message) else f"{field}：{message}"


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()[:100]


def _message(error: Mapping[str, Any]) -> str:
    context = dict(error.get("ctx") or {})
    if error["type"] in ("value_error", "assertion_error"):
        return _printable(str(context.get("error", error["msg"])))
    template = _MESSAGES.get(error["type"])
    if template is None:
        return "内容不符合要求"
    try:
        return template.format(**context)
    except (KeyError, IndexError):
        return template.split("：")[0]


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    words = {404: "没有这个地址", 405: "该地址不支持这种请求方式", 400: "请求内容无法解析", 413: "请求过大"}
    detail = words.get(error.status_code, "请求无法处理")
    response = respond(error.status_code, detail, detail + "。", f"http_{error.status_code}")
    response.headers.update(error.headers or {})
    if error.status_code == 405 and (allowed := _allowed(request)):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _allowed(request: Request) -> set[str]:
    """Every method of this address: the router itself names only those of the first route that fits."""
    fits = (
        each
        for each in operations(request.app)
        if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", each.path), request.url.path)
    )
    return {method for each in fits for method in each.methods}


def _arrangement(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ArrangementInvalid)
    return respond(422, "放假安排无效", str(error), "arrangement_invalid", field=error.field)


def _calendar_range(_request: Request, error: Exception) -> JSONResponse:
    return respond(422, "超出日历范围", str(error), "calendar_range")


def _database(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DBAPIError)
    cause = error.orig
    passing = (
        psycopg.errors.DeadlockDetected,
        psycopg.errors.SerializationFailure,
        psycopg.errors.LockNotAvailable,
        psycopg.errors.QueryCanceled,
    )
    if isinstance(cause, passing) or isinstance(error, OperationalError) or error.connection_invalidated:
        log.warning(
            "database unavailable for %s %s: %s", request.method, request.url.path, type(cause).__name__
        )
        return _unavailable(in_doubt=error.connection_invalidated)
    return _unexpected(request, error)


def _pool_exhausted(request: Request, _error: Exception) -> JSONResponse:
    """Every connection is taken, by acts that wait for a standby that is gone, say."""
    log.warning("no database connection free for %s %s", request.method, request.url.path)
    return _unavailable(in_doubt=False)


def _unavailable(*, in_doubt: bool) -> JSONResponse:
    """503. `in_doubt`: the connection broke, perhaps after the commit had been sent: only the same Idempotency-Key tells."""
    detail = (
        "与数据库的连接中断，操作可能没有生效。请稍后以同一 Idempotency-Key 重试：已生效的不会重复办理。"
        if in_doubt
        else "系统繁忙或数据库暂时不可用，操作没有生效，请稍后重试。"
    )
    return respond(503, "数据库暂时不可用", detail, "store_unavailable")


_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _system(request: Request, error: Exception) -> JSONResponse:
    """A full disk is told as such; whoever looks after the machine reads it in the log."""
    assert isinstance(error, OSError)
    if error.errno not in _NO_ROOM:
        return _unexpected(request, error)
    log.error("no room on the disk for %s %s", request.method, request.url.path)
    return respond(
        503,
        "存储空间不足",
        "服务器磁盘空间不足，文件没有保存，操作没有生效；请联系管理员清理或扩容，稍后重试。",
        "storage_full",
    )


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    # the message of a database error repeats the row's values: personal data stays out of the log
    log.error(
        "unexpected %s at %s %s",
        type(error).__name__,
        request.method,
        request.url.path,
        exc_info=_bare(error),
    )
    return respond(
        500, "系统错误", "系统出现错误，操作没有生效；请稍后重试，仍有问题请联系管理员。", "internal"
    )


def _bare(error: Exception) -> Exception:
    return (
        type(error.orig)("(hidden)").with_traceback(error.__traceback__)
        if isinstance(error, DBAPIError) and error.orig
        else error
    )
