"""The index on disk: following equals rebuilding, several processes, and whatever breaks can be rebuilt."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from threading import Thread

import pytest

from knowledge_base.search import Entry, IndexBroken, Reader, Synonyms, Writer, WriterBusy

TODAY = date(2026, 11, 21)
_THINGS = ("身份证", "公积金", "驾驶证", "社保卡", "居住证", "营业执照", "残疾人证", "不动产权证")
_ACTS = ("补办", "提取", "换领", "注销", "查询", "变更")


def entry(number: int, version: int = 1) -> Entry:
    thing, act = _THINGS[number % len(_THINGS)], _ACTS[number // len(_THINGS) % len(_ACTS)]
    return Entry(
        f"{number}",
        f"{thing}{act}第{number}号事项",
        f"第{version}版答复：{thing}的{act}在{number % 9}号窗口办理。",
        popularity=number,
    )


def seen(folder: Path) -> tuple[list[tuple[str, str]], list[list[tuple[str, str]]]]:
    """All that is in the index, and what a fresh reader finds first for each thing that ever was."""
    reader = Reader(folder)

    def hits(text: str, limit: int) -> list[tuple[str, str]]:
        return [(hit.key, hit.answer) for hit in reader.search(text, on=TODAY, limit=limit).hits]

    return hits("", 50), [hits(entry(number).question, 1) for number in range(48)]


def test_following_equals_rebuilding(tmp_path: Path) -> None:
    chance = random.Random(4)
    there = {number: entry(number) for number in range(40)}
    with Writer(tmp_path / "followed") as writer:
        writer.rebuild(there.values(), "0")
        for step in range(1, 30):
            for _ in range(3):
                number = chance.randrange(48)
                if number in there and chance.random() < 0.4:
                    del there[number]
                    writer.remove([str(number)])
                else:
                    there[number] = entry(number, version=step)
                    writer.put([there[number]])
            writer.commit(str(step))
    with Writer(tmp_path / "rebuilt") as writer:
        writer.rebuild(there.values(), "29")
    assert seen(tmp_path / "followed") == seen(tmp_path / "rebuilt")
    assert Reader(tmp_path / "followed").cursor() == "29"


def test_the_writer_says_how_much_is_waste(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(k) for k in range(99)], "a")
        assert writer.waste == 0
        writer.remove(str(k) for k in range(49))
        writer.commit("b")
        assert 0.4 < writer.waste < 0.6
        writer.rebuild([entry(k) for k in range(49, 99)], "c")
        assert writer.waste == 0


def test_a_reader_sees_every_commit_and_nothing_before(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert not reader.search("身份证", on=TODAY).ready
    assert reader.cursor() is None
    with Writer(tmp_path) as writer:
        assert writer.cursor is None
        writer.put([entry(0)])
        assert not reader.search("身份证", on=TODAY).ready
        writer.commit("a")
        assert reader.search("身份证", on=TODAY).keys == ("0",)
        writer.put([entry(8)])
        assert reader.search("身份证", on=TODAY).keys == ("0",)
        writer.commit("b")
        assert set(reader.search("身份证", on=TODAY).keys) == {"0", "8"}
        writer.put([entry(0, version=2)])
        writer.commit("c")
        answers = {hit.key: hit.answer for hit in reader.search("身份证", on=TODAY).hits}
        assert answers["0"].startswith("第2版")
        writer.rebuild([entry(16)], "d")
        assert reader.search("身份证", on=TODAY).keys == ("16",)
        assert reader.cursor() == "d"


def test_what_was_not_committed_is_gone(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(0)], "a")
        writer.put([entry(8)])
    with Writer(tmp_path) as writer:
        assert writer.cursor == "a"
        writer.commit("b")
    assert Reader(tmp_path).search("身份证", on=TODAY).keys == ("0",)


def test_a_key_put_twice_counts_once(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(0), entry(0, version=2)], "a")
    hits = Reader(tmp_path).search("身份证", on=TODAY).hits
    assert [(hit.key, hit.answer[:3]) for hit in hits] == [("0", "第2版")]


def test_only_one_writes(tmp_path: Path) -> None:
    with Writer(tmp_path):
        with pytest.raises(WriterBusy):
            Writer(tmp_path)
        tried = subprocess.run(
            [sys.executable, "-c", _TRY, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert tried.stdout.strip() == "busy"
    Writer(tmp_path).close()


_TRY = """
import sys
from pathlib import Path
from knowledge_base.search import Writer, WriterBusy
try:
    Writer(Path(sys.argv[1]))
except WriterBusy:
    print("busy")
"""


def _write(folder: str, commits: int) -> None:
    with Writer(Path(folder)) as writer:
        for number in range(1, commits + 1):
            writer.put([entry(8 * k, version=number) for k in range(20)])
            writer.commit(str(number))


def test_one_process_writes_while_others_read(tmp_path: Path) -> None:
    """Every search sees one commit: all twenty entries in the same version, versions never going back."""
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(8 * k, version=0) for k in range(20)], "0")
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_write, args=(str(tmp_path), 25))
    process.start()
    reader, wrong, counts = Reader(tmp_path), [], set()

    def read() -> None:
        last = -1
        while process.is_alive():
            hits = reader.search("身份证", on=TODAY, limit=50).hits
            versions = {int(hit.answer[1 : hit.answer.index("版")]) for hit in hits}
            if len(hits) != 20 or len(versions) != 1 or min(versions) < last:
                wrong.append((len(hits), versions, last))
                return
            last = max(versions)
            counts.add(last)

    threads = [Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    process.join(120)
    for thread in threads:
        thread.join(30)
    assert process.exitcode == 0
    assert wrong == []
    assert len(counts) > 3
    assert reader.cursor() == "25"


_KILLED = """
import sys
from pathlib import Path
from knowledge_base.search import Writer
from tests.knowledge_base.test_search_index import entry
writer = Writer(Path(sys.argv[1]))
number = int(writer.cursor or 0)
while True:
    number += 1
    writer.put([entry(k, version=number) for k in range(30)])
    writer.commit(str(number))
    print(number, flush=True)
"""


def test_killed_at_any_moment_it_goes_on_from_the_last_commit(tmp_path: Path) -> None:
    """kill -9 while committing, again and again: what was reported as committed is there, whole, and the next one continues."""
    chance = random.Random(9)
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(k, version=0) for k in range(30)], "0")
    reader = Reader(tmp_path)
    for _ in range(5):
        command = [sys.executable, "-c", _KILLED, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        acknowledged = int(process.stdout.readline())
        time.sleep(chance.random() * 0.15)
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout if line.endswith("\n"))])
        process.wait()
        process.stdout.close()
        cursor = reader.cursor()
        assert cursor is not None
        assert int(cursor) in (acknowledged, acknowledged + 1)
        hits = reader.search("", on=TODAY, limit=50).hits
        assert {hit.answer.split("版")[0] for hit in hits} == {f"第{cursor}"}
        assert len(hits) == 30
    with Writer(tmp_path) as writer:
        assert writer.cursor == cursor


def test_killed_while_rebuilding_the_old_index_stays(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(0)], "old")
    script = """
import os, sys
from pathlib import Path
from knowledge_base.search import Writer
from tests.knowledge_base.test_search_index import entry
def entries():
    for k in range(200):
        yield entry(k)
    os.kill(os.getpid(), 9)
Writer(Path(sys.argv[1])).rebuild(entries(), "new")
"""
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert Reader(tmp_path).search("身份证", on=TODAY).keys == ("0",)
    with Writer(tmp_path) as writer:
        assert writer.cursor == "old"
        writer.rebuild([entry(0), entry(8)], "new")
    assert len(list(tmp_path.glob("g-*"))) == 1


def _generation(folder: Path) -> Path:
    return folder / str(json.loads((folder / "CURRENT").read_text(encoding="utf-8"))["generation"])


def _cut_short(folder: Path) -> None:
    for path in _generation(folder).glob("*.*"):
        if path.suffix in (".idx", ".store", ".term"):
            path.write_bytes(path.read_bytes()[:20])


def _scribbled(folder: Path) -> None:
    for path in _generation(folder).glob("*.*"):
        if path.suffix in (".idx", ".store", ".term", ".fast"):
            path.write_bytes(os.urandom(path.stat().st_size))


def _meta_lost(folder: Path) -> None:
    (_generation(folder) / "meta.json").write_text("{", encoding="utf-8")


def _emptied(folder: Path) -> None:
    shutil.rmtree(_generation(folder))


def _foreign(folder: Path) -> None:
    said = json.loads((folder / "CURRENT").read_text(encoding="utf-8"))
    (folder / "CURRENT").write_text(json.dumps(said | {"format": "0/another"}), encoding="utf-8")


def _nonsense(folder: Path) -> None:
    (folder / "CURRENT").write_bytes(b"\xff\x00")


@pytest.mark.parametrize("damage", [_cut_short, _scribbled, _meta_lost, _emptied, _foreign, _nonsense])
def test_a_damaged_index_is_no_error_and_is_rebuilt(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(k) for k in range(50)], "a")
    damage(tmp_path)
    reader = Reader(tmp_path)
    before = reader.search("身份证补办", on=TODAY)
    assert not before.ready
    assert before.hits == ()
    with Writer(tmp_path) as writer:
        assert writer.cursor is None
        writer.rebuild([entry(k) for k in range(50)], "b")
    assert reader.search("身份证补办", on=TODAY).ready
    assert reader.search("身份证补办", on=TODAY).keys[0] in {"0", "48"}
    assert reader.cursor() == "b"


def test_an_index_found_broken_is_not_written_on(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(0)], "a")
        (tmp_path / "BROKEN").write_text(_generation(tmp_path).name, encoding="utf-8")
        with pytest.raises(IndexBroken):
            writer.put([entry(1)])
    with Writer(tmp_path) as writer:
        assert writer.cursor is None
        writer.rebuild([entry(1)], "b")
    assert Reader(tmp_path).cursor() == "b"


def test_other_synonyms_ask_for_a_rebuild_and_the_old_index_serves_until_then(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.rebuild([entry(0)], "a")
    with Writer(tmp_path, Synonyms([("大白本", "身份证")])) as writer:
        assert writer.cursor is None
        assert Reader(tmp_path).search("身份证", on=TODAY).keys == ("0",)
        writer.rebuild([entry(0)], "b")
    assert Reader(tmp_path, Synonyms([("大白本", "身份证")])).search("大白本", on=TODAY).keys == ("0",)


def test_an_entry_has_a_key() -> None:
    with pytest.raises(ValueError, match="key"):
        Entry("", "问", "答")
