"""Differences between two texts, as passages that rebuild both."""

import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from knowledge_base.differences import pieces

TEXT = st.text(st.sampled_from("甲乙ab\n "), max_size=60)


@given(TEXT, TEXT)
def test_the_passages_rebuild_both_texts(before: str, after: str) -> None:
    found = pieces(before, after)
    assert "".join(p.text for p in found if p.op != "insert") == before
    assert "".join(p.text for p in found if p.op != "delete") == after
    assert all(a.op != b.op for a, b in pairwise(found))
    if before == after:
        assert [p.op for p in found] == (["equal"] if before else [])


def test_within_a_line_the_characters_are_told() -> None:
    found = pieces("承诺7个工作日。\n带身份证。\n", "承诺5个工作日。\n带身份证。\n")
    assert [(p.op, p.text) for p in found] == [
        ("equal", "承诺"),
        ("delete", "7"),
        ("insert", "5"),
        ("equal", "个工作日。\n带身份证。\n"),
    ]


def test_texts_of_any_kind_take_no_time() -> None:
    began = time.process_time()
    pieces("ab" * 50_000, "ba" * 50_000)
    pieces("\n".join("ab" * 900 for _ in range(50)), "\n".join("ba" * 900 for _ in range(50)))
    pieces("a\n" * 50_000, "b\n" * 50_000)
    assert time.process_time() - began < 20
