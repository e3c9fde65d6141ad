"""电子表格: a report's figures as a workbook of real numbers with native charts, and as CSV for programs. Every line is there, unlike on paper."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped]

from hotline.exporting.files import cell_text, harmless
from hotline.printing.documents import Document, Table
from hotline.reporting import exhibits
from hotline.reporting.exhibits import TITLES, exact
from hotline.reporting.indicators import UNITS
from workflow.deadlines import CHINA

Content = Mapping[str, Any]

_FORMATS: Final = {"percent": "0.00%", "count": "0", "hours": "0.00", "workdays": "0.00"}
_TOP: Final = {"percent": "分子", "hours": "合计（小时）", "workdays": "合计（工作日）"}


# --- XLSX ----------------------------------------------------------------------------------------------------------------


def xlsx(document: Document, content: Content, at: datetime) -> bytes:
    """The workbook dated `at` (aware); the same content makes the same bytes."""
    made = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(made, options)
    book.set_properties(
        {
            "title": document.title,
            "author": document.issuer,
            "comments": document.footer,
            "created": at.astimezone(CHINA).replace(tzinfo=None),
        }
    )
    _Book(book, document, content).fill()
    book.close()
    return made.getvalue()


class _Book:
    """One workbook in the making."""

    def __init__(self, book: Any, document: Document, content: Content) -> None:
        self.book, self.document, self.content = book, document, content
        self.known: dict[str, Mapping[str, Any]] = {each["key"]: each for each in content["definitions"]}
        self.title = book.add_format({"bold": True, "font_size": 16})
        self.head = book.add_format(
            {"bold": True, "bg_color": "#DDEBF7", "border": 1, "text_wrap": True, "valign": "vcenter"}
        )
        self.text = book.add_format({"num_format": "@", "valign": "top"})
        self.wrapped = book.add_format({"num_format": "@", "valign": "top", "text_wrap": True})
        self.numbers = {
            unit: book.add_format({"num_format": code, "valign": "top"}) for unit, code in _FORMATS.items()
        }

    def fill(self) -> None:
        """Every sheet: the whole, each breakdown, the trend, questions, cases, definitions, limits."""
        self._whole()
        for name, rows in _tables(self.content):
            if rows:
                self._breakdown(name, rows)
        if self.content.get("trend", {}).get("rows"):
            self._trend(self.content["trend"])
        if self.content.get("questions"):
            self._plain("高频问题", exhibits.questions(self.content["questions"]), (8, 24, 24, 10, 10, 12))
        if self.content.get("cases"):
            self._cases(self.content["cases"])
        self._plain("指标口径", exhibits.definitions(self.content), (34, 110, 10))
        self._plain("法定期限", exhibits.limits(self.content), (30, 24, 12))
        self._plain("规则参数", exhibits.rules(self.content), (26, 20, 90, 12))
        self._plain("各口径件数", exhibits.cohorts(self.content), (30, 12))

    def _sheet(self, name: str, widths: Sequence[float], *, top: int = 0, left: int = 1) -> Any:
        sheet = self.book.add_worksheet(name[:31])
        for place, width in enumerate(widths):
            sheet.set_column(place, place, width)
        sheet.freeze_panes(top + 1, left)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(top)
        sheet.set_footer(
            "&L&8" + cell_text(self.document.footer)[:180].replace("&", "&&") + "&R&8第 &P 页 共 &N 页"
        )
        return sheet

    def _heads(self, sheet: Any, row: int, titles: Sequence[str], last: int) -> None:
        for place, title in enumerate(titles):
            sheet.write_string(row, place, title, self.head)
        sheet.autofilter(row, 0, max(last, row), len(titles) - 1)

    def _number(self, sheet: Any, row: int, place: int, value: Any, unit: str) -> None:
        if value is not None:
            sheet.write_number(row, place, float(value), self.numbers[unit])

    def _whole(self) -> None:
        top = 4
        rows = [(key, told) for key, told in self.content["figures"]["whole"].items() if key in self.known]
        sheet = self._sheet("总体", (36, 14, 12, 14, 14, 12, 40), top=top)
        sheet.write_string(0, 0, cell_text(self.document.title), self.title)
        sheet.write_string(
            1, 0, cell_text(f"{self.document.issuer}　{self.document.number}　{self.document.subtitle}")
        )
        sheet.write_string(2, 0, cell_text(self.document.footer))
        titles = ("指标", "数值", "单位", "分子（合计）", "分母", "中位数", "并列")
        self._heads(sheet, top, titles, top + len(rows))
        for row, (key, told) in enumerate(rows, start=top + 1):
            unit = self.known[key]["unit"]
            sheet.write_string(row, 0, self.known[key]["name"], self.text)
            self._number(sheet, row, 1, exact(told, unit), unit)
            sheet.write_string(row, 2, UNITS[unit], self.text)
            self._number(sheet, row, 3, _top(told, unit), "hours" if unit == "hours" else "count")
            self._number(sheet, row, 4, told["denominator"], "count")
            self._number(sheet, row, 5, told["median"], "count")
            sheet.write_string(row, 6, _beside(told), self.text)

    def _breakdown(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        keys = [key for key in self.known if key in rows[0]["figures"]]
        titles = ["名称", "代码"]
        for key in keys:
            titles.append(self.known[key]["name"])
            if self.known[key]["unit"] != "count":
                titles += [
                    f"{self.known[key]['name']}·{_TOP[self.known[key]['unit']]}",
                    f"{self.known[key]['name']}·分母",
                ]
        sheet = self._sheet(TITLES.get(name, name), [28, 14, *([12] * (len(titles) - 2))])
        self._heads(sheet, 0, titles, len(rows))
        sheet.set_row(0, 45)
        for row, line in enumerate(rows, start=1):
            sheet.write_string(row, 0, cell_text(line["name"]), self.text)
            sheet.write_string(row, 1, cell_text(line["key"]), self.text)
            place = 2
            for key in keys:
                unit, told = self.known[key]["unit"], line["figures"][key]
                self._number(sheet, row, place, exact(told, unit), unit)
                place += 1
                if unit != "count":
                    self._number(sheet, row, place, _top(told, unit), "hours" if unit == "hours" else "count")
                    self._number(sheet, row, place + 1, told["denominator"], "count")
                    place += 2
        if name == "unit" and "timely" in keys and len(rows) > 1:
            self._bars(
                sheet,
                TITLES[name],
                titles.index(self.known["timely"]["name"]),
                min(len(rows), 15),
                len(rows) + 3,
            )

    def _bars(self, sheet: Any, name: str, column: int, last: int, below: int) -> None:
        chart = self.book.add_chart({"type": "bar"})
        title = f"{self.known['timely']['name']}（任务最多的 {last} 个）"
        chart.add_series(
            {
                "name": title,
                "categories": [name, 1, 0, last, 0],
                "values": [name, 1, column, last, column],
                "data_labels": {"value": True, "num_format": "0.0%"},
            }
        )
        chart.set_title({"name": title, "name_font": {"size": 11}})
        chart.set_x_axis({"num_format": "0%", "min": 0, "max": 1})
        chart.set_y_axis({"reverse": True})
        chart.set_legend({"none": True})
        chart.set_size({"width": 720, "height": 120 + 26 * last})
        sheet.insert_chart(below, 0, chart, {"description": title})

    def _trend(self, trend: Mapping[str, Any]) -> None:
        keys = [key for key in trend["rows"][0]["figures"] if key in self.known]
        sheet = self._sheet("趋势", [14, *([14] * len(keys))])
        self._heads(sheet, 0, ["日期", *(self.known[key]["name"] for key in keys)], len(trend["rows"]))
        for row, line in enumerate(trend["rows"], start=1):
            sheet.write_string(row, 0, line["key"], self.text)
            for place, key in enumerate(keys, start=1):
                unit = self.known[key]["unit"]
                self._number(sheet, row, place, exact(line["figures"][key], unit), unit)
        chart = self.book.add_chart({"type": "line"})
        last = len(trend["rows"])
        for place, key in enumerate(keys, start=1):
            if self.known[key]["unit"] == "count":
                chart.add_series(
                    {
                        "name": ["趋势", 0, place],
                        "categories": ["趋势", 1, 0, last, 0],
                        "values": ["趋势", 1, place, last, place],
                    }
                )
        if chart.series:
            chart.set_title({"name": "数量趋势", "name_font": {"size": 11}})
            chart.set_legend({"position": "bottom"})
            chart.set_size({"width": 820, "height": 320})
            sheet.insert_chart(1, len(keys) + 2, chart, {"description": "数量趋势"})

    def _cases(self, cases: Sequence[Mapping[str, Any]]) -> None:
        sheet = self._sheet("典型案例", (18, 10, 18, 14, 14, 30, 60, 60))
        titles = ("工单编号", "类别", "诉求分类", "区划", "受理日期", "办理单位", "诉求", "办理结果")
        self._heads(sheet, 0, titles, len(cases))
        for row, case in enumerate(cases, start=1):
            told = (
                *(
                    case["number"],
                    {"good": "成效", "slow": "迟缓"}[case["kind"]],
                    case["category"],
                    case["area"],
                ),
                *(case["received_on"], "、".join(case["units"]), case["demand"], case["result"]),
            )
            for place, words in enumerate(told):
                sheet.write_string(row, place, cell_text(words), self.wrapped)

    def _plain(self, name: str, table: Table, widths: Sequence[float]) -> None:
        sheet = self._sheet(name, widths)
        self._heads(sheet, 0, [column.title for column in table.columns], len(table.rows))
        for row, line in enumerate(table.rows, start=1):
            for place, (value, column) in enumerate(zip(line, table.columns, strict=True)):
                if isinstance(value, str):
                    sheet.write_string(row, place, cell_text(value), self.wrapped)
                else:
                    self._number(sheet, row, place, value, column.kind)


def _top(told: Mapping[str, Any], unit: str) -> float:
    return told["numerator"] / 3600 if unit == "hours" else float(told["numerator"])


def _beside(told: Mapping[str, Any]) -> str:
    return "；".join(f"{label} {count}" for label, count in told["beside"].items())


# --- CSV -----------------------------------------------------------------------------------------------------------------

_HEADS: Final = ("表", "代码", "名称", "指标", "指标名称", "单位", "数值", "分子", "分母", "中位数", "并列")


def comma_separated(content: Content) -> bytes:
    """One line for each figure of the whole and of every breakdown, in UTF-8 with its mark; numbers as they are in the report.

    A mean's numerator is in seconds or working days, as over HTTP.
    """
    made = io.StringIO(newline="")
    writer = csv.writer(made, lineterminator="\r\n")
    writer.writerow(_HEADS)
    known = {each["key"]: each for each in content["definitions"]}
    for table, line in _lines(content):
        for key, told in line["figures"].items():
            if key in known:
                writer.writerow(
                    [
                        *(table, harmless(line["key"]), harmless(line["name"]), key, known[key]["name"]),
                        *(UNITS[known[key]["unit"]], told["value"], told["numerator"], told["denominator"]),
                        *(told["median"], _beside(told)),
                    ]
                )
    return made.getvalue().encode("utf-8-sig")


def _lines(content: Content) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "总体", {"key": "", "name": "总体", "figures": content["figures"]["whole"]}
    for name, rows in _tables(content):
        for row in rows:
            yield TITLES.get(name, name), row


def _tables(content: Content) -> list[tuple[str, Sequence[Mapping[str, Any]]]]:
    """The breakdowns in the order of paper: what was filed keeps none."""
    order = list(TITLES)
    return sorted(
        content["figures"]["tables"].items(),
        key=lambda one: order.index(one[0]) if one[0] in order else len(order),
    )
