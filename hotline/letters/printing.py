"""督办函 printed: the letter as a PDF on official paper, the same bytes whenever it is printed."""

from datetime import UTC
from pathlib import Path
from typing import Any, Final

from hotline.letters.tables import Letter
from hotline.printing import pdfs
from hotline.printing.documents import Block, Column, Document, Paragraph, Signature, Table, day_written
from hotline.printing.fonts import chinese_fonts
from hotline.printing.rendering import turn
from workflow.deadlines import local_day

_COLUMNS: Final = (
    Column("序号", width=0.5),
    Column("工单编号", width=1.7),
    Column("诉求分类", width=1.4),
    Column("未完成的时限", width=1.2),
    Column("依据", width=1.6),
    Column("起算日", width=1.1),
    Column("届满日", width=1.1),
    Column("情况", width=1.0),
)


def number_of(letter: Letter) -> str:
    """The letter's number as it is written: 督办函〔2026〕12号."""
    return f"督办函〔{letter.year}〕{letter.number}号"


def pdf(letter: Letter, fonts: Path | None) -> bytes:
    """The letter, without the database. `fonts` is HOTLINE_FONT_DIR. Raises `FontsMissing`, `PrintingBusy`."""
    found = chinese_fonts(fonts)
    with turn():
        return pdfs.pdf(_document(letter), found, letter.issued_at.astimezone(UTC))


def _document(letter: Letter) -> Document:
    told: dict[str, Any] = letter.content
    items = told["items"]
    late = sum(item["late"] for item in items)
    on = local_day(letter.issued_at)
    blocks: list[Block] = [
        Paragraph(f"{told['unit']}："),
        Paragraph(
            f"截至{day_written(on)}，你单位承办的下列工单有 {len(items)} 项时限尚未完成"
            + (f"，其中 {late} 项已逾期" if late else "")
            + "。依据《青海12345政务服务便民热线管理暂行办法》第十四条第（八）项，现予督办，请立即办理，并向热线平台反馈结果。"
            "督办不改变任何期限。"
        ),
        *([Paragraph(f"督办意见：{told['words']}")] if told["words"] else []),
        Table(
            "未完成的时限",
            _COLUMNS,
            tuple(_row(place, item) for place, item in enumerate(items, 1)),
            None,
        ),
        Paragraph(
            "对逾期不办、推诿扯皮、谎报瞒报、不当退单、态度恶劣等情形频发、拒不履职的，按有关规定通报问责。"
            "确有客观原因不能按期办结的，可在届满当日内申请延期（第十四条第（五）项）。"
        ),
    ]
    return Document(
        issuer=told["issuer"],
        number=number_of(letter),
        title=f"关于{told['unit']}承办工单的督办函",
        subtitle=day_written(on),
        blocks=tuple(blocks),
        signatures=(Signature("签发", letter.issued_by, on),),
        status=None,
        footer=f"{told['issuer']}　{number_of(letter)}",
    )


def _row(place: int, item: dict[str, Any]) -> tuple[str, ...]:
    how = f"逾期 {item['days_late']} 天" if item["late"] else "未到期"
    return (
        str(place),
        item["number"],
        item["category"],
        item["label"],
        item["cited"],
        item["opened_on"],
        item["due_on"],
        how,
    )
