"""The last line of defence of the log: whatever a record holds, no caller's number, no credential and no row's content leaves in it.

Nothing should come this far: exceptions carry no personal data, engines hide parameters. It is for what nobody foresaw.
"""

import logging
import re
import sys
import threading
import traceback
from types import TracebackType
from typing import Final

_BETWEEN: Final = r"[ \-\u2010-\u2015\u00a0\u3000]?"
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # a database's own words about a row repeat the row
    (re.compile(r"\b(DETAIL|详细信息|CONTEXT):.*?(?=\n\[SQL|\n\(Background|\n\n|\nTraceback|\Z)", re.DOTALL), r"\1: (hidden)"),
    (re.compile(r"\binput_value=.*?, input_type=", re.DOTALL), "input_value=(hidden), input_type="),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=\-]+"), r"\1 (hidden)"),
    (re.compile(r"(?i)((?:__Host-)?hotline|session|csrf[-_]?token)=[\w.~+/=\-]{8,}"), r"\1=(hidden)"),
    (
        re.compile(
            r"(?i)([\"']?\b(?:authorization|set-cookie|cookie|x-csrf-token|password|passwd|pwd|secret|client_secret|"
            r"access_token|refresh_token|id_token|token|code_verifier|口令|密码)[\"']?\s*[:=：]\s*)(\"[^\"\n]*\"|'[^'\n]*'|[^\s,;)}\]]+)"
        ),
        r"\1(hidden)",
    ),
    (re.compile(r"(\w+://[^\s:/@]+):[^\s/@]+@"), r"\1:(hidden)@"),
    (re.compile(r"(?<![\w\-])[A-Za-z0-9_\-]{43}(?![\w\-])"), "(hidden)"),
    # a citizen's link opens their page
    (re.compile(r"(/(?:q|public/tickets)/)[\w\-]{8,}"), r"\1(hidden)"),
    # 身份证号 before 手机号: the one may hold the other
    (re.compile(rf"(?<!\d)\d{{6}}{_BETWEEN}(?:1[89]|20)\d{{2}}{_BETWEEN}[01]\d[0-3]\d{_BETWEEN}\d{{3}}[\dXxＸｘ](?!\d)"), "(id number)"),
    (re.compile(rf"(?<!\d)(?:(?:\+|00)?86{_BETWEEN})?[1１][3-9３-９]\d{_BETWEEN}\d{{4}}{_BETWEEN}\d{{4}}(?!\d)"), "(mobile)"),
    (re.compile(r"(?<!\d)0\d{2,3}-\d{7,8}(?!\d)"), "(phone)"),
)  # fmt: skip


_CONTROLS: Final = {n: f"\\x{n:02x}" for n in (*range(0x20), *range(0x7F, 0xA0)) if n != 0x09} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
"""Characters that could begin a line of their own: an address or a name must not write another's entry."""


def masked(text: str) -> str:
    """`text` without mobiles, ID numbers, credentials and what a database or a validator repeats of its input."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


class Quiet(logging.Filter):
    """Masks a record whole: its message with its arguments put in, on one line; its exception's text, its stack."""

    _plain = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask `record` in place; always let it pass."""
        try:
            message = record.getMessage()
        except Exception:  # a wrong format string must not break its caller, nor its arguments get out
            message = f"{record.msg} (arguments do not fit)"
        record.msg, record.args = masked(message).translate(_CONTROLS), None
        if record.exc_info:
            record.exc_text = masked(record.exc_text or self._plain.formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = masked(record.stack_info)
        return True


def keep_tracebacks_quiet() -> None:
    """Let a failure that ends the process or a thread say no more than a log would."""
    sys.excepthook = _write
    threading.excepthook = lambda failed: _write(failed.exc_type, failed.exc_value, failed.exc_traceback)


def _write(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), trace)
    elif kind is not SystemExit:
        sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def keep_secrets_out(handler: logging.Handler) -> None:
    """Let nothing through `handler` unmasked. Twice is once."""
    if not any(isinstance(each, Quiet) for each in handler.filters):
        handler.addFilter(Quiet())
