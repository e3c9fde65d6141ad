"""排版: typst makes PDFs out of a template of this house and data; nothing typed by anybody is ever read as markup."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from threading import BoundedSemaphore
from typing import Any, Final

from hotline.printing.fonts import Fonts
from workflow.errors import RuleBroken

AT_ONCE: Final = 2
"""How many documents one process makes at a time: each needs some tens of megabytes."""
_PATIENCE: Final = 20.0
_turns: Final = BoundedSemaphore(AT_ONCE)


class PrintingBusy(RuleBroken):
    """More documents are asked for than are made at a time."""

    code = "printing_busy"


@contextmanager
def turn(patience: float = _PATIENCE) -> Iterator[None]:
    """One of the few turns at making a document, waited for up to `patience` seconds. Raises `PrintingBusy`.

    Hold no database transaction meanwhile.
    """
    if not _turns.acquire(timeout=patience):
        raise PrintingBusy("正在生成的文件较多，请稍后重试。")
    try:
        yield
    finally:
        _turns.release()


def pdf(template: str, data: Mapping[str, Any], fonts: Fonts, at: datetime) -> bytes:
    """The PDF of a template, which reads `data` by `json(bytes(sys.inputs.data))` and `families` beside it; dated `at` (aware).

    The same template, data, fonts and instant make the same bytes.
    """
    import typst

    families = {"song": fonts.song, "fang": fonts.fang, "hei": fonts.hei, "kai": fonts.kai}
    given = json.dumps(dict(data) | {"families": families}, ensure_ascii=False)
    compiler = typst.Compiler(
        template.encode(), font_paths=fonts.found, ignore_system_fonts=True, sys_inputs={"data": given}
    )
    made = compiler.compile(format="pdf", timestamp=at.replace(microsecond=0))
    assert isinstance(made, bytes)
    return made
