"""What a search finds, in which order, and that nothing typed is ever an error."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge_base.search import Entry, Filters, Reader, Synonyms, Validity, Writer
from knowledge_base.search.folding import Folded, fold
from knowledge_base.search.pinyin import readings, soft, typed

TODAY = date(2026, 11, 21)
ARTICLES = (
    Entry(
        "identity",
        "居民身份证丢失怎么补办？",
        "请本人持户口簿到户籍地派出所补领，自受理之日起20个工作日内办结，工本费40元。",
        synonyms=("身份证补领",),
        area="630000000000",
    ),
    Entry(
        "fund",
        "住房公积金提取需要什么材料？",
        "身份证、购房合同、银行卡。也可通过手机APP办理。",
        guide=(("place", "政务服务大厅三楼公积金窗口"), ("conditions", "连续足额缴存满六个月")),
        area="630100000000",
        unit="XN-GJJ",
        categories=("010203",),
        popularity=50,
    ),
    Entry(
        "fund-old",
        "住房公积金提取条件",
        "住房公积金提取的旧规定。",
        valid_until=date(2023, 1, 1),
        popularity=900,
    ),
    Entry("licence", "机动车驾驶证到期换证", "到车管所办理，需要体检证明。", area="440100000000"),
    Entry("abroad", "基本医疗保险异地就医备案", "在医保服务平台备案。", valid_from=date(2027, 1, 1)),
    Entry("bank", "银行开户许可证遗失", "到开户银行办理。", platforms=(7,)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index")
    with Writer(path) as writer:
        writer.rebuild(ARTICLES, "1")
    return path


@pytest.fixture(scope="module")
def reader(folder: Path) -> Reader:
    return Reader(folder)


def found(reader: Reader, text: str, filters: Filters | None = None) -> tuple[str, ...]:
    return reader.search(text, on=TODAY, filters=filters).keys


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("身份证 丢了", "identity"),
        ("身", "identity"),
        ("身份", "identity"),
        ("sfz", "identity"),
        ("sfz bb", "identity"),
        ("s f z", "identity"),
        ("shenfenzheng", "identity"),
        ("shen fen zheng", "identity"),
        ("shenfenzh", "identity"),
        ("shengfenzen", "identity"),
        ("gjj", "fund"),
        ("gjj提取", "fund"),
        ("公积金tiqu", "fund"),
        ("公積金 提取", "fund"),
        ("ａｐｐ", "fund"),
        ("公积金窗口在几楼", "fund"),
        ("驾照到期了", "licence"),
        ("yinhang", "bank"),
        ("医保异地", "abroad"),
        ("我身份证前几天在公交车上弄丢了，想问一下现在补一个要带什么，要等多少天，收不收钱", "identity"),
    ],
)
def test_what_is_typed_finds_the_article(reader: Reader, text: str, first: str) -> None:
    assert found(reader, text)[:1] == (first,)


@pytest.mark.parametrize("text", ["银行开户许可证", "住房公积金提取", "机动车驾驶证到期"])
def test_an_article_found_early_stays_while_more_is_typed(reader: Reader, text: str) -> None:
    key = found(reader, text)[0]
    assert [key in found(reader, text[:end]) for end in range(2, len(text) + 1)] == [True] * (len(text) - 1)


def test_an_expired_article_is_marked_and_stands_below_every_valid_one(reader: Reader) -> None:
    hits = reader.search("住房公积金提取条件", on=TODAY).hits
    assert [(hit.key, hit.validity) for hit in hits] == [
        ("fund", Validity.VALID),
        ("fund-old", Validity.EXPIRED),
    ]
    assert hits[1].score > hits[0].score


def test_validity_is_judged_by_the_day_asked_for(reader: Reader) -> None:
    assert reader.search("公积金提取条件", on=date(2023, 1, 1)).keys[0] == "fund-old"
    assert reader.search("医保异地", on=date(2026, 12, 31)).hits[0].validity is Validity.FUTURE
    assert reader.search("医保异地", on=date(2027, 1, 1)).hits[0].validity is Validity.VALID


def test_valid_articles_are_found_behind_any_number_of_expired_ones(tmp_path: Path) -> None:
    expired = [Entry(f"x{k}", "公积金提取", "公积金提取", valid_until=date(2020, 1, 1)) for k in range(500)]
    valid = Entry("valid", "关于本市职工购房之后如何办理手续的说明", "其中第九条说到公积金。")
    with Writer(tmp_path) as writer:
        writer.rebuild([*expired, valid], "1")
    hits = Reader(tmp_path).search("公积金提取", on=TODAY).hits
    assert (hits[0].key, hits[0].validity) == ("valid", Validity.VALID)
    assert hits[1].validity is Validity.EXPIRED


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        (Filters(area="630102000000"), {"identity", "fund", "fund-old"}),
        (Filters(area="630100000000"), {"identity", "fund", "fund-old"}),
        (Filters(area="630000000000"), {"identity", "fund", "fund-old"}),
        (Filters(area="630200000000"), {"identity", "fund-old"}),
        (Filters(area="440000000000"), {"licence", "fund-old"}),
        (Filters(unit="XN-GJJ"), {"fund"}),
        (Filters(category="0102"), {"fund"}),
        (Filters(category="02"), set()),
        (Filters(only_valid=True), {"identity", "fund", "licence"}),
        (Filters(platforms=(3, 7), only_valid=True), {"identity", "fund", "licence"}),
    ],
)
def test_filters(reader: Reader, filters: Filters, keys: set[str]) -> None:
    assert set(found(reader, "身份证 公积金 驾驶证", filters)) == keys


def test_an_article_for_one_platform_is_not_another_s(reader: Reader) -> None:
    assert found(reader, "银行开户", Filters(platforms=(7,))) == ("bank",)
    assert "bank" not in found(reader, "银行开户", Filters(platforms=(3,)))


def test_an_empty_box_shows_the_most_told_of_what_counts_here(reader: Reader) -> None:
    results = reader.search("  ", on=TODAY)
    assert results.popular
    assert results.keys[0] == "fund"
    assert {hit.validity for hit in results.hits} == {Validity.VALID}
    assert set(found(reader, "", Filters(area="630200000000"))) == {"identity", "bank"}


def test_popularity_decides_between_equals_and_never_against_a_better_one(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.rebuild(
            [
                Entry("a-seldom", "老年优待证办理", "到社区办理。", popularity=0),
                Entry("b-often", "老年优待证办理", "到社区办理。", popularity=400),
                Entry("c-other", "残疾人证办理", "到社区办理。", popularity=100_000),
            ],
            "1",
        )
    assert found(Reader(tmp_path), "老年优待证办理")[:2] == ("b-often", "a-seldom")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("公鸡金", "公积金"),
        ("公积今", "公积金"),
        ("shenfenzhneg", "身份证"),
        ("籍动车架驶正", "机动车驾驶证"),
        ("公积金", None),
        ("无从谈起", None),
    ],
)
def test_did_you_mean(reader: Reader, text: str, meant: str | None) -> None:
    assert reader.search(text, on=TODAY).did_you_mean == meant


def test_did_you_mean_proposes_nothing_that_the_filters_hide(reader: Reader) -> None:
    assert reader.search("公鸡金", on=TODAY, filters=Filters(unit="nobody")).did_you_mean is None


def test_marks_name_the_characters_as_written(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.rebuild([Entry("1", "㎡以上房屋的不動產登記", "面积超过90㎡的……请办不動產登記，谢谢。")], "1")
    hit = Reader(tmp_path).search("不动产登记", on=TODAY).hits[0]
    assert [hit.question[start:end] for start, end in hit.question_marks] == ["不動產登記"]
    assert [hit.answer[start:end] for start, end in hit.answer_marks] == ["不動產登記"]
    assert [hit.snippet.text[start:end] for start, end in hit.snippet.marks] == ["不動產登記"]
    assert hit.answer[hit.snippet.start : hit.snippet.end] == hit.snippet.text


def test_marks_follow_pinyin_and_synonyms(reader: Reader) -> None:
    def marked(text: str) -> list[str]:
        hit = reader.search(text, on=TODAY).hits[0]
        return [hit.question[start:end] for start, end in hit.question_marks]

    assert marked("gjj") == ["公积金"]
    assert marked("shenfenzheng") == ["身份证"]
    assert marked("驾照") == ["机动车驾驶证"]


def test_the_snippet_is_the_passage_that_answers(tmp_path: Path) -> None:
    padding = "本条说明办事大厅的一般安排。" * 60
    with Writer(tmp_path) as writer:
        writer.rebuild(
            [
                Entry(
                    "1",
                    "办事说明",
                    padding + "加装电梯的补贴每台二十万元。" + padding,
                    guide=(("place", "三楼社保窗口"),),
                )
            ],
            "1",
        )
    reader = Reader(tmp_path)
    snippet = reader.search("电梯补贴多少", on=TODAY).hits[0].snippet
    assert "加装电梯的补贴每台二十万元" in snippet.text
    assert snippet.part == "answer"
    place = reader.search("社保窗口", on=TODAY).hits[0].snippet
    assert (place.part, place.text) == ("place", "三楼社保窗口")


def test_a_platform_s_own_synonyms(tmp_path: Path) -> None:
    own = Synonyms([("大白本", "房屋权属证明")])
    with Writer(tmp_path, own) as writer:
        writer.rebuild([Entry("1", "房屋权属证明如何办理", "到登记中心。"), Entry("2", "其他", "其他")], "1")
    assert found(Reader(tmp_path, own), "大白本") == ("1",)
    assert found(Reader(tmp_path), "大白本") == ()


_TYPED = st.text(
    st.one_of(
        st.sampled_from('公积金身份证提取医保驾照 agjsfz的吗？。("*:^~[]{}\\/+-\t\n\u3000'),
        st.characters(),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=_TYPED,
    limit=st.integers(-3, 200),
    filters=st.builds(
        Filters,
        unit=st.none() | st.text(max_size=5),
        category=st.none() | st.text(max_size=5),
        area=st.none() | st.text("0123456789x", max_size=14),
        platforms=st.lists(st.integers(), max_size=2).map(tuple),
        only_valid=st.booleans(),
    ),
)
def test_anything_may_be_typed(reader: Reader, text: str, limit: int, filters: Filters) -> None:
    results = reader.search(text, on=TODAY, filters=filters, limit=limit)
    assert results.ready
    valid = [hit.validity is Validity.VALID for hit in results.hits]
    assert valid == sorted(valid, reverse=True)
    for hit in results.hits:
        for written, marks in (
            (hit.question, hit.question_marks),
            (hit.answer, hit.answer_marks),
            (hit.snippet.text, hit.snippet.marks),
        ):
            ends = [0, *(place for mark in marks for place in mark), len(written)]
            assert ends == sorted(ends)


@pytest.mark.parametrize(
    "text",
    [
        "公积金" * 3_334,
        "x" * 10_000,
        "，" * 10_000,
        "a b " * 2_500,
        "AND (",
        '"',
        "\x00",
        "\ud800公积金",
        "😀👨‍👩‍👧",
        "-公积金",
        "shi" * 3_000,
    ],
)
def test_long_and_odd_input(reader: Reader, text: str) -> None:
    assert reader.search(text, on=TODAY).ready


def test_operators_are_text(reader: Reader) -> None:
    assert found(reader, '"公积金" AND (-提取)')[0] == "fund"


@given(st.text())
def test_folding_keeps_places(text: str) -> None:
    folded = Folded(text)
    assert len(folded.text) >= len(text)
    assert folded.range_of(0, len(folded.text)) == (0, len(text))
    for at in range(len(folded.text)):
        start, end = folded.range_of(at, at + 1)
        assert end == start + 1
        assert folded.text[at] in fold(text[start:end])


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12))
def test_soft_pinyin_keeps_prefixes(letters: str) -> None:
    for end in range(1, len(letters)):
        assert soft(letters).startswith(soft(letters[:end])[: len(soft(letters))]) or not typed(letters)


def test_typed_pinyin() -> None:
    assert typed("shenfenzheng") == ("shen", "fen", "zheng")
    assert typed("gongjijinti") == ("gong", "ji", "jin", "ti")
    assert typed("shenfenzh") == ("shen", "fen", "zh")
    assert typed("lvyou") == ("lv", "you")
    assert typed("gjj") is None
    assert {"hang", "xing"} <= set(readings("行"))


@pytest.fixture(autouse=True)
def _nothing_is_left_open(folder: Path) -> Iterator[None]:
    yield
    assert not (folder / "BROKEN").exists()
