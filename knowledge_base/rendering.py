"""Markdown in; safe HTML, and plain text to read out on the phone. Raw HTML in an article is shown as the characters it is."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.emphasis import tokenize
from markdown_it.token import Token

from knowledge_base.orders import LABELS

TAGS: Final = frozenset(
    (
        *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "blockquote"),
        *("ul", "ol", "li", "code", "pre", "a", "table", "thead", "tbody", "tr", "th", "td"),
    )
)
ATTRIBUTES: Final = {"a": {"href", "title"}, "ol": {"start"}}
SCHEMES: Final = frozenset({"http", "https", "tel"})


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
    parser.inline.ruler.at("emphasis", _emphasis)
    return parser.disable("image")


def _emphasis(state: StateInline, silent: bool) -> bool:
    """`**注意：**请` is strong too: CommonMark wants a space between a punctuation mark with stars and a letter, which Chinese has not."""
    first, start = len(state.delimiters), state.pos
    if not tokenize(state, silent):
        return False
    before = state.src[start - 1] if start else " "
    after = state.src[state.pos] if state.pos < state.posMax else " "
    if state.src[start] == "*":
        for mark in state.delimiters[first:]:
            mark.open = mark.open or (_is_han(before) and not after.isspace())
            mark.close = mark.close or (_is_han(after) and not before.isspace())
    return True


def _is_han(sign: str) -> bool:
    return "\u3400" <= sign <= "\u9fff"


def as_html(markdown: str) -> str:
    """Safe HTML: a short list of tags, links to http, https and tel only (`rel="noopener nofollow"`), no pictures, no scripts, no styles."""
    return nh3.clean(
        _parser().render(markdown),
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        url_schemes=set(SCHEMES),
        url_relative="deny",
        link_rel="noopener nofollow",
        strip_comments=True,
    )


def as_text(markdown: str) -> str:
    """Plain text to tell: no markup, list items numbered or dashed, table cells divided by commas, links by their words."""
    lines = [line.rstrip() for line in "".join(_pieces(_parser().parse(markdown))).split("\n")]
    told: list[str] = []
    for line in lines:
        if line or (told and told[-1]):
            told.append(line)
    return "\n".join(told).strip()


_AFTER: Final = {
    "heading_close": "\n\n",
    "table_close": "\n\n",
    "blockquote_close": "\n\n",
    "hr": "\n\n",
    "tr_close": "\n",
}


def _pieces(tokens: Sequence[Token]) -> Iterator[str]:
    lists: list[int | None] = []
    first_cell = True
    for token in tokens:
        if token.type in _AFTER:
            yield _AFTER[token.type]
        elif token.type in ("th_open", "td_open", "tr_open"):
            yield "" if first_cell or token.type == "tr_open" else "，"
            first_cell = token.type == "tr_open"
        elif token.type in ("fence", "code_block"):
            yield token.content + "\n"
        elif token.type == "inline":
            yield _inline(token.children or [])
        else:
            yield _of_a_list(token, lists)


def _of_a_list(token: Token, lists: list[int | None]) -> str:
    """What a list or a paragraph begins or ends with; `lists` holds the next number of each list it lies in, None for dashes."""
    if token.type in ("ordered_list_open", "bullet_list_open"):
        lists.append(int(token.attrGet("start") or 1) if token.type.startswith("ordered") else None)
    elif token.type in ("ordered_list_close", "bullet_list_close"):
        lists.pop()
        return "\n"
    elif token.type == "list_item_open":
        return "  " * (len(lists) - 1) + _mark(lists)
    elif token.type == "paragraph_close":
        return "\n" if lists else "\n\n"
    return ""


def _mark(lists: list[int | None]) -> str:
    number = lists[-1]
    if number is None:
        return "- "
    lists[-1] = number + 1
    return f"{number}. "


def _inline(tokens: Sequence[Token]) -> str:
    said: list[str] = []
    for token in tokens:
        if token.type in ("text", "code_inline"):
            said.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            said.append("\n")
    return "".join(said)


_TOLD_OF_A_GUIDE: Final = (
    "department",
    "region",
    "service_object",
    "conditions",
    "materials",
    "steps",
    "limit",
    "statutory_limit",
    "visits",
    "place",
    "window",
    "phone",
    "complaint_phone",
    "fee",
)


def guide_as_text(guide: dict[str, Any]) -> str:
    """The guide's fields one after the other, each with its name, to read out after the answer."""
    return "\n".join(f"{LABELS[name]}：{guide[name]}" for name in _TOLD_OF_A_GUIDE if name in guide)


def told_text(answer: str, guide: dict[str, Any]) -> str:
    """What an agent reads out: the answer, then the guide's fields."""
    return "\n\n".join(filter(None, (as_text(answer), guide_as_text(guide))))
