"""Markdown becomes safe HTML whatever is in it, and plain text that can be read out."""

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge_base import rendering

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=https://evil.example></iframe>",
    "<style>*{display:none}</style>",
    "<a href='javascript:alert(1)'>x</a>",
    "<div onclick=alert(1)>x</div>",
    "<!-- <script> --><script>alert(1)</script>",
    "<math><mtext></p><style><img src onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](//evil.example/a)",
    "[x](/api/v1/me)",
    "<javascript:alert(1)>",
    "![x](https://evil.example/track.png)",
    "![x](javascript:alert(1))",
    "[![x](https://evil.example/track.png)](javascript:alert(1))",
    '[x](https://ok.example "\\" onmouseover=alert(1)")',
    "[x](https://ok.example' onmouseover='alert(1))",
    "[x]: javascript:alert(1)\n\n[x]",
    "```<script>\nalert(1)\n```",
    "```html onload=alert(1)\n<b>\n```",
    "`<script>alert(1)</script>`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\\<script>alert(1)</script>",
    "|a|\n|-|\n|<img src=x onerror=alert(1)>|",
    "|a|\n|:-:|\n|b|",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
    "\u202e<script>alert(1)</script>",
    "<a href=tel:110 target=_blank style=position:fixed>x</a>",
    "<form action=https://evil.example><input name=p></form>",
    "<base href=https://evil.example>",
    "<meta http-equiv=refresh content=0;url=https://evil.example>",
    "<object data=x><embed src=x>",
    "> <script>\n> alert(1)",
    "1. <b onmouseover=alert(1)>x",
    "x" * 1000 + "<script",
)


class _Reader(HTMLParser):
    """What a browser would find: every tag with its attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:  # noqa: ARG002 - the parser's signature
        self.tags.append(("!--", {}))

    def handle_decl(self, decl: str) -> None:  # noqa: ARG002 - the parser's signature
        self.tags.append(("!", {}))


def check_safe(html: str) -> None:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    for tag, attributes in reader.tags:
        assert tag in rendering.TAGS, html
        allowed = rendering.ATTRIBUTES.get(tag, set()) | ({"rel"} if tag == "a" else set())
        assert set(attributes) <= allowed, html
        if tag == "a":
            assert attributes["rel"] == "noopener nofollow"
            assert re.match("(?i)(https?|tel):", attributes.get("href") or "tel:"), html


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_comes_through(text: str) -> None:
    for said in (text, f"前{text}后", f"**{text}**", f"> {text}", f"- {text}\n- b", f"# {text}"):
        check_safe(rendering.as_html(said))


@given(st.text(st.sampled_from("<>\"'`&;:/\\()[]!*_~|#=-+ \n\tabhrefonscriptjv甲\x00"), max_size=80))
def test_nothing_at_all_comes_through(text: str) -> None:
    check_safe(rendering.as_html(text))


def test_what_an_editor_writes_is_shown() -> None:
    html = rendering.as_html(
        "## 材料\n\n1. 身份证\n2. **户口簿**\n\n|项|费|\n|-|-|\n|换证|10元|\n\n[电话](tel:0971-12345)\n第二行"
    )
    for part in ("<h2>材料</h2>", "<strong>户口簿</strong>"):
        assert part in html
    assert "<td>10元</td>" in html
    assert '<a href="tel:0971-12345" rel="noopener nofollow">电话</a><br>' in html
    assert rendering.as_html("<b>原样</b>") == "<p>&lt;b&gt;原样&lt;/b&gt;</p>\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**更正：**此前有误", "<strong>更正：</strong>此前有误"),
        ("请带**“身份证”**原件", "请带<strong>“身份证”</strong>原件"),
        ("先**（一）**后", "先<strong>（一）</strong>后"),
        ("每人 5 * 3 元", "每人 5 * 3 元"),
    ],
)
def test_stars_beside_chinese_punctuation_are_strong(text: str, shown: str) -> None:
    assert rendering.as_html(text) == f"<p>{shown}</p>\n"


def test_what_is_read_out_has_no_marks() -> None:
    told = rendering.told_text(
        "## 材料\n\n1. 身份证\n2. **户口簿**\n   - 复印件\n\n|项|费|\n|-|-|\n|换证|10元|\n\n见[指南](https://a.example)。\n第二行",
        {"limit": "7(工作日)", "limit_days": 7, "phone": "12345"},
    )
    assert told == (
        "材料\n\n1. 身份证\n2. 户口簿\n  - 复印件\n\n项，费\n换证，10元\n\n见指南。\n第二行\n\n"
        "承诺办结时限：7(工作日)\n咨询电话：12345"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "*a " * 33_000,
        "**甲：" * 25_000,
        "> " * 50_000,
        "|a" * 30_000 + "\n" + "|-" * 30_000,
        "`" * 99_999,
        "<" * 90_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    check_safe(rendering.as_html(text))
    rendering.as_text(text)
    assert time.process_time() - began < 10
