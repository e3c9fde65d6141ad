"""Fields sealed at rest open only with their key and in their own place; the key ring is never lost, overwritten or half written."""

import json
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hotline.privacy import keyring, sealing
from hotline.privacy.keyring import (
    KeyRing,
    KeyRingBroken,
    Suite,
    added,
    change,
    in_memory,
    open_ring,
    read,
    retired,
)
from hotline.privacy.sealing import SealBroken, Sealer

AT = datetime(2026, 3, 2, tzinfo=UTC)
CONTEXT = "tickets.caller_phone:012611210000425"


@pytest.mark.parametrize("suite", list(Suite))
def test_a_value_opens_only_in_its_own_place_unaltered(suite: Suite) -> None:
    sealer = Sealer(in_memory(b"k" * 32, suite))
    sealed = sealer.seal("13900000001", CONTEXT)
    assert sealer.open(sealed, CONTEXT) == "13900000001"
    assert sealed != sealer.seal("13900000001", CONTEXT)
    assert (sealed[0], sealed[1], sealing.key_of(sealed)) == (2, suite, 1)
    for context in ("tickets.caller_phone:012611210000433", "tickets.caller_name:012611210000425", ""):
        with pytest.raises(SealBroken):
            sealer.open(sealed, context)
    for at in range(len(sealed)):
        with pytest.raises(SealBroken):
            sealer.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], CONTEXT)
    for cut in (b"", sealed[:4], sealed[:20], sealed[:-1]):
        with pytest.raises(SealBroken):
            sealer.open(cut, CONTEXT)
    with pytest.raises(SealBroken):
        Sealer(in_memory(b"x" * 32, suite)).open(sealed, CONTEXT)
    assert sealer.seal(None, CONTEXT) is None
    assert sealer.open(None, CONTEXT) is None
    assert sealer.open_bytes(sealer.seal_bytes(b"\x00\xff", CONTEXT), CONTEXT) == b"\x00\xff"


@pytest.mark.parametrize("suite", list(Suite))
def test_the_blind_index_is_of_the_digits_and_of_the_key(suite: Suite) -> None:
    sealer, other = Sealer(in_memory(b"k" * 32, suite)), Sealer(in_memory(b"x" * 32, suite))
    index = sealer.index("13900000001")
    assert index is not None
    assert len(index) == 32
    assert {sealer.index(way) for way in ("139 0000 0001", "+86 13900000001", "139-0000-0001")} == {index}
    assert other.index("13900000001") != index
    assert sealer.index("13900000002") != index
    assert sealer.index(None) is None
    assert sealer.indexes("13900000001") == [index]


def test_what_was_sealed_before_there_was_a_ring_still_opens_and_is_found() -> None:
    ring = in_memory(b"k" * 32)
    sealer, key = Sealer(ring), ring.now().keys[1]
    nonce = b"n" * 12
    old = b"\x01" + nonce + AESGCM(key.derive(b"fields")).encrypt(nonce, "测试甲".encode(), b"\x01")
    assert sealer.open(old, CONTEXT) == "测试甲"
    assert sealing.key_of(old) == 0
    with pytest.raises(SealBroken):
        Sealer(in_memory(b"x" * 32)).open(old, CONTEXT)
    with pytest.raises(SealBroken):
        Sealer(in_memory(b"k" * 32, Suite.SM)).open(old, CONTEXT)


# --- the file ----------------------------------------------------------------------------------------------------------


def opened(folder: Path, suite: Suite = Suite.AES) -> KeyRing:
    return open_ring(folder / "keyring.json", folder / "field.key", suite)


def test_a_ring_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    rings: list[KeyRing] = []
    threads = [threading.Thread(target=lambda: rings.append(opened(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ring.now().keys[1].master for ring in rings}) == 1
    assert stat.S_IMODE((tmp_path / "keyring.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keyring.json"]


def test_an_older_field_key_becomes_key_1(tmp_path: Path) -> None:
    (tmp_path / "field.key").write_bytes(b"k" * 32)
    ring = opened(tmp_path, Suite.SM)
    key = ring.now().keys[1]
    assert (key.master, key.legacy, key.suite) == (b"k" * 32, True, Suite.AES)
    assert Sealer(ring).index("13900000001") == Sealer(in_memory(b"k" * 32)).index("13900000001")
    (tmp_path / "field.key").write_bytes(b"x" * 32)
    assert opened(tmp_path).now().keys[1].master == b"k" * 32


def test_a_ring_that_cannot_be_read_is_said_in_chinese_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    opened(tmp_path)
    whole = path.read_text("utf-8")
    future = json.dumps(json.loads(whole) | {"format": 99})
    nobody = json.dumps(json.loads(whole) | {"current": 7})
    for content in (
        "",
        "{",
        "[]",
        "null",
        whole[:-20],
        future,
        nobody,
        whole.replace('"master": "', '"master": "AA'),
    ):
        path.write_text(content, "utf-8")
        with pytest.raises(KeyRingBroken, match="密钥环"):
            opened(tmp_path)
        assert path.read_text("utf-8") == content
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "field.key").write_bytes(b"k" * 31)
    with pytest.raises(KeyRingBroken, match="32 字节"):
        opened(tmp_path / "short")


def test_a_running_process_notices_a_new_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keyring.json"
    ours, theirs = Sealer(opened(tmp_path)), Sealer(opened(tmp_path))
    old = ours.seal("测试甲", CONTEXT)
    changed = change(path, lambda keys: added(keys, Suite.SM, AT))
    assert changed.rotating_to == 2
    change(path, lambda keys: replace(keys, current=2))
    monkeypatch.setattr(keyring, "NOTICED_WITHIN", 0.0)
    new = theirs.seal("测试乙", CONTEXT)
    assert (new[1], sealing.key_of(new)) == (Suite.SM, 2)
    monkeypatch.setattr(keyring, "NOTICED_WITHIN", 3600.0)
    assert sealing.key_of(ours.seal("测试丙", CONTEXT)) == 1  # not looked again yet
    assert ours.open(new, CONTEXT) == "测试乙"  # an unknown key is looked for at once
    assert sealing.key_of(ours.seal("测试丙", CONTEXT)) == 2
    assert theirs.open(old, CONTEXT) == "测试甲"
    assert set(ours.indexes("13900000001")) == set(theirs.indexes("13900000001"))
    assert len(ours.indexes("13900000001")) == 2
    change(path, lambda keys: retired(keys, 1, AT))
    assert read(path).keys[1].master == b""
    monkeypatch.setattr(keyring, "NOTICED_WITHIN", 0.0)
    with pytest.raises(SealBroken):
        ours.open(old, CONTEXT)
    path.unlink()
    assert ours.open(new, CONTEXT) == "测试乙"  # what is in memory goes on working


def test_two_writers_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    opened(tmp_path)
    threads = [
        threading.Thread(target=change, args=(path, lambda keys: added(keys, Suite.AES, AT)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read(path).keys) == list(range(1, 10))
    assert not list(tmp_path.glob(".keyring*"))


def test_the_digest_stays_through_rotations(tmp_path: Path) -> None:
    ring = opened(tmp_path)
    before = Sealer(ring).digest("13900000001")
    change(tmp_path / "keyring.json", lambda keys: replace(added(keys, Suite.SM, AT), current=2))
    assert Sealer(opened(tmp_path)).digest("13900000001") == before
    assert Sealer(in_memory(b"x" * 32)).digest("13900000001") != before
