"""办事指南 in and out: the real header, bad rows told by line and column, nothing half imported, again only what changed, no loss."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.organisation import OrgUnit
from knowledge_base import articles, exporting, importing, tables
from knowledge_base.importing import Report
from knowledge_base.models import Article, ArticleStep, ArticleVersion, KnowledgeChange
from tests import world as w
from tests.api.tables import fingerprint
from tests.knowledge_base import shelf
from workflow.errors import LimitExceeded, OrderInvalid
from workflow.vocabulary import ArticleKind, Level, Role, UnitKind, VersionState

EXCERPT = Path(__file__).with_name("data") / "guangdong-excerpt.csv"
AT = w.china("2026-03-02 09:00")


def run(world: w.World, content: bytes, platform: str = "00", **kwargs: Any) -> Report:
    """Import as the operator does, `publish` by a person's login."""
    actor = Actor("system", None, "命令行", frozenset({Role.EDITOR}), world.platforms[platform])
    with Session(world.engine) as session:
        if "publish" in kwargs:
            kwargs["publisher"] = world.actor(session, kwargs.pop("publish"))
        rows = importing.read_rows(content)
        report = importing.import_rows(session, actor, rows, at=AT, **({"preview": False} | kwargs))
        session.commit()
    return report


def counts(report: Report) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.bad


def excerpt(**changes: str) -> bytes:
    """The excerpt with the first row's cells changed."""
    rows = list(csv.DictReader(io.StringIO(EXCERPT.read_text("utf-8-sig"), newline="")))
    rows[0] |= changes
    return as_csv(rows)


def as_csv(rows: list[dict[str, str]], encoding: str = "utf-8") -> bytes:
    target = io.StringIO(newline="")
    writer = csv.DictWriter(target, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue().encode(encoding)


def test_the_real_header_is_imported_and_again_only_what_changed(world: w.World) -> None:
    with Session(world.engine) as session:
        session.add(
            OrgUnit(
                code="EDU",
                name="广东省教育厅",
                level=Level.PROVINCE,
                kind=UnitKind.DEPARTMENT,
                platform_id=world.platforms["00"],
                area_code="630000000000",
            )
        )
        session.commit()
    before = fingerprint(world.engine)
    assert counts(run(world, EXCERPT.read_bytes(), preview=True)) == (18, 0, 0, 0)
    assert fingerprint(world.engine) == before
    report = run(world, EXCERPT.read_bytes())
    assert counts(report) == (18, 0, 0, 0)
    assert any("没有同名承办单位" in note for note in report.notes)
    assert not any("教育厅" in note for note in report.notes)
    row = next(r for r in report.rows if r.question == "中小学地方课程教材初审")
    with Session(world.engine) as session:
        article = session.execute(select(Article).where(col(Article.origin) == row.code)).scalar_one()
        version = articles.version_of(session, article.id, 1)
        assert version is not None
        unit = session.get_one(OrgUnit, article.unit_id or 0)
        assert (article.kind, unit.code, version.state) == (ArticleKind.GUIDE, "EDU", VersionState.DRAFT)
        assert (version.guide["limit_days"], version.guide["statutory_limit_days"]) == (18, 70)
        assert version.answer == (
            "“中小学地方课程教材初审”由广东省教育厅办理，服务对象为自然人、企业法人、社会组织法人，"
            "承诺办结时限18个工作日（法定70个工作日），无需到办事现场。办理条件、材料、地点和咨询电话见办事指南。"
        )
    before = fingerprint(world.engine)
    assert counts(run(world, EXCERPT.read_bytes())) == (0, 0, 18, 0)
    assert fingerprint(world.engine) == before
    again = run(world, excerpt(handle_time_limit="5(工作日)"))
    assert counts(again) == (0, 1, 17, 0)
    changed = next(r for r in again.rows if r.status == "changed")
    assert changed.fields == ["答复口径", "承诺办结时限"]
    assert changed.name is not None
    assert changed.name.endswith("@2")


def test_what_people_wrote_by_hand_survives_the_next_import(world: w.World) -> None:
    run(world, EXCERPT.read_bytes())
    with Session(world.engine) as session:
        article = session.get_one(Article, 1)
        version = articles.version_of(session, 1, 1)
        assert version is not None
        order = articles.content_of(article, version)
        by_hand = order.model_copy(update={"answer": "手写的口径。", "synonyms": ["提价"]})
        articles.write(session, world.actor(session, "p-editor"), by_hand, at=AT, article_id=1)
        session.commit()
    assert counts(run(world, EXCERPT.read_bytes())) == (0, 0, 18, 0)
    run(world, excerpt(consult_phone="020-00000000"))
    with Session(world.engine) as session:
        newest = articles.version_of(session, 1, 3)
        assert newest is not None
        assert (newest.answer, newest.synonyms, newest.guide["phone"]) == (
            "手写的口径。",
            ["提价"],
            "020-00000000",
        )


def test_published_by_a_named_editor_with_every_step_recorded(world: w.World) -> None:
    assert run(world, EXCERPT.read_bytes(), publish="p-editor").published == 18
    with Session(world.engine) as session:
        steps = session.execute(
            select(ArticleStep).where(col(ArticleStep.article_id) == 1).order_by(col(ArticleStep.id))
        ).scalars()
        assert [(s.step.value, s.actor_name) for s in steps] == [
            ("write", "命令行"),
            ("submit", "命令行"),
            ("publish", "测试知识库管理员p-editor"),
        ]
        assert len(session.execute(select(KnowledgeChange)).scalars().all()) == 18
    assert run(world, EXCERPT.read_bytes(), publish="p-editor").published == 0
    drafted = run(world, excerpt(visit_number="2"))
    assert (drafted.changed, drafted.published) == (1, 0)
    waiting = run(world, excerpt(visit_number="2"), publish="p-editor")
    assert (waiting.changed, waiting.published, waiting.unchanged) == (1, 1, 17)


BAD: tuple[tuple[dict[str, str], str, str], ...] = (
    ({"TASK_NAME": " "}, "标题（问题）", "不能为空"),
    ({"TASK_NAME": "问" * 501}, "标题（问题）", "超过最大长度 500 个字符"),
    ({"handle_time_limit": "很快"}, "承诺办结时限", "时限“很快”无法识别"),
    ({"handle_time": "12月"}, "法定办结时限", "无法识别"),
    ({"visit_number": "两次"}, "到办事现场次数", "整数"),
    ({"TASK_CODE": "编码 1"}, "事项编码", "不含空格和汉字"),
    ({"TASK_CODE": "sync:00:1"}, "事项编码", "字母、数字"),
    ({"service_object_name": "人" * 201}, "服务对象", "超过最大长度 200"),
    ({"accept_standard": "甲\x00乙"}, "办理条件", "NUL"),
)


def test_bad_rows_are_told_by_line_and_column_and_nothing_is_half_imported(world: w.World) -> None:
    before = fingerprint(world.engine)
    for changes, column, reason in BAD:
        report = run(world, excerpt(**changes))
        assert (report.imported, report.bad, report.new) == (False, 1, 17), changes
        row = report.rows[0]
        assert (row.line, row.status) == (2, "bad")
        assert [(p.column, reason in p.reason) for p in row.problems] == [(column, True)], row.problems
    assert fingerprint(world.engine) == before
    twice = EXCERPT.read_bytes() + EXCERPT.read_bytes().split(b"\r\n", 1)[1]
    report = run(world, twice)
    assert (report.bad, report.rows[18].problems[0].reason) == (18, "与第 2 行重复")
    assert fingerprint(world.engine) == before
    skipped = run(world, excerpt(handle_time_limit="很快"), skip_bad=True)
    assert (skipped.imported, skipped.new, skipped.bad) == (True, 17, 1)
    with Session(world.engine) as session:
        assert len(session.execute(select(Article)).scalars().all()) == 17


UNREADABLE: tuple[tuple[bytes, str], ...] = (
    (b"", "空的"),
    (b" \r\n \r\n", "空的"),
    (b"a,b\r\n1,2\r\n", "标题（问题）"),
    ("标题,标题\r\n甲,乙\r\n".encode(), "表头重复"),
    ('标题\r\n"没有闭合'.encode(), "引号没有闭合"),
    (b"PK\x03\x04broken", "损坏"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "损坏"),
    (b"\xff\xfe\x00\x00\x81", "GB 18030"),
    (b'{"question": 1}\n{', "第 2 行不是有效的 JSON"),
    (b'{"a": 1}\n[1]', "第 2 行应为 JSON 对象"),
)


@pytest.mark.parametrize(("content", "said"), UNREADABLE, ids=[str(n) for n in range(len(UNREADABLE))])
def test_what_is_no_table_is_refused_in_chinese(content: bytes, said: str) -> None:
    with pytest.raises((OrderInvalid, LimitExceeded)) as refused:
        tables.read(content)
    assert refused.value.field == "file"
    assert said in refused.value.message


def test_any_encoding_delimiter_and_format_reads_the_same() -> None:
    rows = list(csv.DictReader(io.StringIO(EXCERPT.read_text("utf-8-sig"), newline="")))
    expected = [row.cells for row in tables.read(as_csv(rows)).rows]
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    tabbed = io.StringIO(newline="")
    csv.writer(tabbed, delimiter="\t").writerows(lines)
    for content in (
        as_csv(rows, "gb18030"),
        as_csv(rows, "utf-8-sig"),
        tabbed.getvalue().encode(),
        tables.write_excel(lines),
    ):
        assert [row.cells for row in tables.read(content).rows] == expected


ODD = (
    "=cmd|'/c calc'!A1",
    "'已有引号",
    "+86 139",
    "-1",
    "@SUM(1)",
    "\t制表",
    "a;b；c",
    "一\n二\r\n三",
    '"引号",逗号',
    "  前后空格  ",
    "_x0041_ 与 \x01",
    "𠮷😀\u202e",
    "{{}}",
)


DATES = {
    "valid_from": "2026-01-01",
    "valid_until": "2026-12-31",
    "source_url": "https://a.example/%E4%B8%AD?x=1",
}


@pytest.mark.parametrize("kind", ["csv", "xlsx", "jsonl"])
def test_what_was_exported_is_imported_elsewhere_without_loss(
    world: w.World, kind: str, postgres_server: Any, tmp_path: Path
) -> None:
    run(world, EXCERPT.read_bytes(), publish="p-editor")
    for odd in ODD:
        guide = {"conditions": odd, "limit": "7(工作日)", "visits": 0, "phone": "无"}
        synonyms = ["a;b"] if odd == ODD[0] else ["甲", odd.strip().replace("\n", " ").replace("\r", " ")]
        more: dict[str, Any] = {"areas": ["630104000000"], "categories": ["010101"], "unit": "SJT", **DATES}
        shelf.publish(
            world,
            AT,
            odd,
            odd,
            prefix="p-",
            guide=guide,
            legal_basis=odd,
            synonyms=synonyms,
            **more,
        )
    shelf.publish(world, AT, "问答？", "答。", prefix="p-", kind="policy")
    local = shelf.publish(world, AT, "本地问？", "本地答。", source=19, relation="overrides")
    everything = _export(world, kind, None)
    same = run(world, everything)
    assert (same.unchanged, same.skipped, same.new + same.changed + same.bad) == (18 + len(ODD) + 1, 1, 0)
    with postgres_server.world(tmp_path) as other:
        report = run(other, everything, publish="p-editor")
        assert (report.bad, report.new, report.skipped) == (0, 18 + len(ODD) + 1, 1), report.rows
        assert contents(other, "00") == contents(world, "00")
        below = run(other, everything, "01", publish="editor")
        assert (below.new, below.skipped, below.bad) == (1, 18 + len(ODD) + 1, 0)
        assert contents(other, "01") == contents(world, "01")
        with Session(other.engine) as session:
            article = session.execute(
                select(Article).where(col(Article.platform_id) == other.platforms["01"])
            ).scalar_one()
            source = session.get_one(Article, article.source_id or 0)
            assert (article.relation, local.endswith("@1")) == ("overrides", True)
            assert source.platform_id == other.platforms["00"]
        again = run(other, _export(other, kind, "00"))
        assert (again.unchanged, again.total) == (18 + len(ODD) + 1, 18 + len(ODD) + 1)


def _export(world: w.World, kind: str, platform: str | None) -> bytes:
    operator = Actor("system", None, "命令行", frozenset({Role.EDITOR}))
    with Session(world.engine) as session:
        return exporting.export(session, operator, kind, platform=platform)


def contents(world: w.World, platform: str) -> list[str]:
    """What the published articles of a platform say, and their units."""
    with Session(world.engine) as session:
        rows = session.execute(
            select(Article, ArticleVersion)
            .join(ArticleVersion, col(ArticleVersion.article_id) == col(Article.id))
            .where(
                col(ArticleVersion.state) == VersionState.PUBLISHED,
                col(Article.platform_id) == world.platforms[platform],
            )
        ).all()
        return sorted(
            json.dumps(
                articles.content_of(a, v).model_dump(mode="json", exclude={"corrects", "change_note"})
                | {"unit": session.get_one(OrgUnit, a.unit_id).code if a.unit_id else None},
                ensure_ascii=False,
            )
            for a, v in rows
        )


def test_a_spreadsheet_takes_nothing_for_a_formula(world: w.World) -> None:
    shelf.publish(world, AT, "=1+1", "@SUM(A1)", prefix="p-")
    cells = next(
        row
        for row in csv.reader(io.StringIO(_export(world, "csv", None).decode("utf-8-sig")))
        if "@1" in row[0]
    )
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_the_template_is_imported_as_it_stands(world: w.World) -> None:
    for kind in ("csv", "xlsx"):
        report = run(world, exporting.template(kind), preview=True)
        assert (report.new, report.bad, report.unknown_columns) == (1, 0, [])


def test_a_text_no_cell_can_hold_is_said(world: w.World) -> None:
    shelf.publish(world, AT, "长文", "字" * 40_000, prefix="p-")
    with pytest.raises(LimitExceeded, match="Excel 放不下"):
        _export(world, "xlsx", None)
    assert len(_export(world, "csv", None)) > 100_000


def test_a_units_people_import_their_own_matters_only(world: w.World) -> None:
    run(world, b"code,question,answer\r\nA-1,\xe7\x94\xb2,\xe7\xad\x94\r\n", "01")
    table = importing.read_rows(
        "code,question,answer,unit\r\nA-1,甲,新\r\nA-2,乙,答\r\nA-3,丙,答,JTJ\r\n".encode()
    )
    with Session(world.engine) as session:
        report = importing.import_rows(session, world.actor(session, "ZJJ"), table, at=AT)
        assert [(r.status, [p.column for p in r.problems]) for r in report.rows] == [
            ("bad", ["事项编码"]),
            ("new", []),
            ("bad", ["实施部门"]),
        ]
