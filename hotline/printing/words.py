"""Word: a document by python-docx, with real headings, repeated table headers, page numbers and the fonts of official papers by name."""

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from hotline.printing import charts
from hotline.printing.documents import (
    NOTHING,
    Block,
    Chart,
    Document,
    Heading,
    Paragraph,
    Signature,
    Table,
    day_written,
    title_lines,
    written,
)
from hotline.printing.fonts import Fonts
from workflow.deadlines import CHINA

_LATIN: Final = "Times New Roman"
_FANG, _HEI, _KAI, _SONG = "仿宋", "黑体", "楷体", "方正小标宋简体"
_TEXT_WIDTH: Final = 15.8
"""Centimetres between the margins."""


def docx(document: Document, fonts: Fonts, at: datetime) -> bytes:
    """The document as .docx dated `at` (aware). `fonts` letter its charts; its own text names 仿宋, 黑体, 楷体, which Word finds or replaces.

    The same document makes the same bytes.
    """
    import docx as library

    paper: Any = library.Document()
    _styled(paper)
    _dated(paper, document, at)
    _set_page(paper, document)
    _head(paper, document)
    appendix = False
    for block in document.blocks:
        if isinstance(block, Heading) and block.level == 0:
            if not appendix:
                _sign(paper, document.signatures)
            appendix = True
        _add(paper, block, fonts)
    if not appendix:
        _sign(paper, document.signatures)
    made = io.BytesIO()
    paper.save(made)
    return _timeless(made.getvalue())


def _timeless(content: bytes) -> bytes:
    """The same package with no hint of when it was zipped."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as read,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as write,
    ):
        for name in read.namelist():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            write.writestr(entry, read.read(name))
    return made.getvalue()


# --- styles and pages ---------------------------------------------------------------------------------------------------


def _styled(paper: Any) -> None:
    from docx.shared import Pt

    _font(paper.styles["Normal"], _FANG, 15)
    normal = paper.styles["Normal"].paragraph_format
    normal.line_spacing, normal.space_after = Pt(27), Pt(0)
    _in_chinese(paper)
    for name, font, size in (("Title", _SONG, 21), ("Heading 1", _HEI, 15), ("Heading 2", _KAI, 15)):
        _font(paper.styles[name], font, size)
        paper.styles[name].paragraph_format.keep_with_next = True
        paper.styles[name].paragraph_format.space_before = Pt(6)


def _in_chinese(paper: Any) -> None:
    """That its East Asian text is Chinese as written in China: a font for several languages then shows that language's letters."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    for properties in (
        paper.styles.element.find(".//" + qn("w:rPrDefault") + "/" + qn("w:rPr")),
        paper.styles["Normal"].element.get_or_add_rPr(),
    ):
        language = properties.find(qn("w:lang"))
        if language is None:
            language = OxmlElement("w:lang")
            properties.append(language)
        language.set(qn("w:val"), "en-US")
        language.set(qn("w:eastAsia"), "zh-CN")


def _font(style: Any, family: str, size: float) -> None:
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor

    style.font.name, style.font.size, style.font.bold = _LATIN, Pt(size), False
    style.font.color.rgb = RGBColor(0, 0, 0)
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for theme in ("w:asciiTheme", "w:hAnsiTheme", "w:eastAsiaTheme", "w:cstheme"):
        fonts.attrib.pop(qn(theme), None)
    fonts.set(qn("w:eastAsia"), family)


def _dated(paper: Any, document: Document, at: datetime) -> None:
    about = paper.core_properties
    about.title, about.author, about.last_modified_by = document.title, document.issuer, document.issuer
    about.comments = ""
    about.language = "zh-CN"
    about.created = about.modified = at.astimezone(CHINA).replace(tzinfo=None)


def _set_page(paper: Any, document: Document) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Cm, Pt

    section = paper.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.top_margin, section.bottom_margin = Cm(3.3), Cm(3.2)
    section.left_margin, section.right_margin = Cm(2.7), Cm(2.5)
    if document.status:
        _small(section.header.paragraphs[0], f"（{document.status}）", 9)
    footer = section.footer.paragraphs[0]
    _small(footer, document.footer, 7.5)
    pages = section.footer.add_paragraph()
    pages.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for words, field in (("第 ", "PAGE"), (" 页 共 ", "NUMPAGES"), (" 页", None)):
        _small(pages, words, 10.5)
        if field:
            _field(pages, field)
    for each in (footer, pages):
        each.paragraph_format.line_spacing = Pt(14)


def _small(paragraph: Any, words: str, size: float) -> Any:
    from docx.shared import Pt

    run = paragraph.add_run(words)
    run.font.size = Pt(size)
    return run


def _field(paragraph: Any, code: str) -> None:
    """A field Word fills in when it lays the pages out."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    for kind, words in (("begin", None), (None, code), ("separate", None), (None, "1"), ("end", None)):
        run = _small(paragraph, "", 10.5)
        if kind:
            mark = OxmlElement("w:fldChar")
            mark.set(qn("w:fldCharType"), kind)
            run._r.append(mark)
        elif words == code:
            instruction = OxmlElement("w:instrText")
            instruction.set(qn("xml:space"), "preserve")
            instruction.text = f" {code} "
            run._r.append(instruction)
        else:
            run.text = words


def _head(paper: Any, document: Document) -> None:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn
    from docx.shared import Pt, RGBColor

    issuer = paper.add_paragraph()
    run = issuer.add_run(document.issuer)
    run.font.size, run.font.bold, run.font.color.rgb = Pt(26), True, RGBColor(0xC0, 0, 0)
    run._r.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), _SONG)
    issuer.paragraph_format.line_spacing = Pt(40)
    number = paper.add_paragraph(document.number)
    _ruled(number)
    title = paper.add_paragraph("\n".join(title_lines(document)), style="Title")
    title.paragraph_format.line_spacing = Pt(32)
    title.paragraph_format.space_before = Pt(14)
    for border in title.style.element.findall(".//" + qn("w:pBdr")):
        border.getparent().remove(border)
    subtitle = paper.add_paragraph()
    _small(subtitle, document.subtitle, 13)
    for each in (issuer, number, title, subtitle):
        each.alignment = WD_ALIGN_PARAGRAPH.CENTER


def _ruled(paragraph: Any) -> None:
    """The red rule below."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    borders, line = OxmlElement("w:pBdr"), OxmlElement("w:bottom")
    for name, value in (("val", "single"), ("sz", "12"), ("space", "4"), ("color", "C00000")):
        line.set(qn(f"w:{name}"), value)
    borders.append(line)
    paragraph._p.get_or_add_pPr().append(borders)


# --- blocks ---------------------------------------------------------------------------------------------------------------


def _add(paper: Any, block: Block, fonts: Fonts) -> None:
    from docx.shared import Inches, Pt

    match block:
        case Heading():
            heading = paper.add_heading(block.text, level=max(1, block.level))
            heading.paragraph_format.first_line_indent = Pt(0 if block.level == 0 else 30)
            heading.paragraph_format.page_break_before = block.level == 0
        case Paragraph():
            paragraph = paper.add_paragraph()
            _small(paragraph, block.text, 11) if block.small else paragraph.add_run(block.text)
            paragraph.paragraph_format.first_line_indent = Pt(22 if block.small else 30)
            if block.small:
                paragraph.paragraph_format.line_spacing = Pt(18)
        case Table():
            _table(paper, block)
        case Chart():
            picture = paper.add_paragraph()
            picture.paragraph_format.line_spacing = 1.0
            picture.paragraph_format.keep_with_next = True
            shape = picture.add_run().add_picture(io.BytesIO(charts.png(block, fonts)), width=Inches(6.2))
            shape._inline.docPr.set("descr", f"{block.title}。{block.words}")
            _caption(paper, block.title)


def _caption(paper: Any, words: str) -> Any:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn
    from docx.shared import Pt

    caption = paper.add_paragraph()
    run = _small(caption, words, 11)
    run._r.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), _HEI)
    caption.alignment = WD_ALIGN_PARAGRAPH.CENTER
    caption.paragraph_format.line_spacing = Pt(20)
    return caption


def _table(paper: Any, block: Table) -> None:
    from docx.enum.table import WD_TABLE_ALIGNMENT
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn
    from docx.shared import Cm, Pt

    _caption(paper, block.title).paragraph_format.keep_with_next = True
    table = paper.add_table(rows=1, cols=len(block.columns), style="Table Grid")
    table.alignment, table.autofit = WD_TABLE_ALIGNMENT.CENTER, False
    _narrow_margins(table)
    whole = sum(column.width for column in block.columns)
    widths = [Cm(_TEXT_WIDTH * column.width / whole) for column in block.columns]
    for place, width in enumerate(widths):
        table.columns[place].width = width
    _fill(
        table.rows[0], [column.title for column in block.columns], ["text"] * len(widths), widths, head=True
    )
    header = OxmlElement("w:tblHeader")
    header.set(qn("w:val"), "true")
    table.rows[0]._tr.get_or_add_trPr().append(header)
    for row in block.rows:
        said = [written(value, column.kind) for value, column in zip(row, block.columns, strict=True)]
        _fill(table.add_row(), said, [column.kind for column in block.columns], widths)
    for each in table.rows:
        each._tr.get_or_add_trPr().append(OxmlElement("w:cantSplit"))
    after = paper.add_paragraph()
    _small(after, block.note or "", 9)
    after.paragraph_format.line_spacing = Pt(16)


def _narrow_margins(table: Any) -> None:
    """Room in the cells for 100.00% in one line where there are nine columns."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    margins = OxmlElement("w:tblCellMar")
    for side in ("left", "right"):
        margin = OxmlElement(f"w:{side}")
        margin.set(qn("w:w"), "45")
        margin.set(qn("w:type"), "dxa")
        margins.append(margin)
    look = table._tbl.tblPr.find(qn("w:tblLook"))
    if look is None:
        table._tbl.tblPr.append(margins)
    else:
        look.addprevious(margins)


def _fill(
    row: Any, said: Sequence[str], kinds: Sequence[str], widths: Sequence[Any], *, head: bool = False
) -> None:
    from docx.enum.table import WD_ALIGN_VERTICAL
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml.ns import qn
    from docx.shared import Pt

    for cell, words, kind, width in zip(row.cells, said, kinds, widths, strict=True):
        cell.width = width
        cell.vertical_alignment = WD_ALIGN_VERTICAL.CENTER
        paragraph = cell.paragraphs[0]
        run = _small(paragraph, words, 9)
        paragraph.paragraph_format.line_spacing = Pt(13)
        if head:
            run._r.get_or_add_rPr().get_or_add_rFonts().set(qn("w:eastAsia"), _HEI)
            paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        elif kind != "text":
            paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT


def _sign(paper: Any, signatures: Sequence[Signature]) -> None:
    from docx.shared import Pt

    paper.add_paragraph()
    table = paper.add_table(rows=2, cols=len(signatures))
    for place, each in enumerate(signatures):
        for row, words in (
            (0, f"{each.role}：{each.who or NOTHING}"),
            (1, day_written(each.on) if each.on else ""),
        ):
            paragraph = table.cell(row, place).paragraphs[0]
            _small(paragraph, words, 12)
            paragraph.paragraph_format.line_spacing = Pt(20)
            paragraph.paragraph_format.keep_with_next = True
