"""Whose changes an engine takes in, and where it sends its own: signatures, registered sources, addresses. Art. 21."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlmodel import Session

from hotline.exchange import outbox
from knowledge_base import peers, syncing
from tests.knowledge_base.engines import AT, Engine, changes_of, joined, machine, post, published
from workflow.errors import OrderInvalid

# --- signatures --------------------------------------------------------------------------------------------------------


def test_what_is_not_signed_by_a_peer_is_refused(two: tuple[Engine, Engine]) -> None:
    above, below = two
    secret = outbox.make_secret()
    below.add_peer("00", above.address, secret, pulls=True)
    published(above, "甲？", "一。")
    changes = changes_of(above)
    body = (
        syncing.Delivery(type=syncing.MESSAGE_TYPE, platform="00", changes=changes).model_dump_json().encode()
    )

    def signed(at: datetime = AT, by: str = secret, of: bytes = body) -> dict[str, str]:
        return outbox.signed_headers(by, "message-1", of, at)

    stale = AT - timedelta(minutes=5, seconds=1)
    wrong: dict[str, tuple[bytes, dict[str, str]]] = {
        "nothing": (body, {}),
        "another secret": (body, signed(by=outbox.make_secret())),
        "an old message": (body, signed(stale)),
        "a message from the future": (body, signed(AT + timedelta(minutes=5, seconds=1))),
        "another body": (body.replace("一。".encode(), "二。".encode()), signed()),
        "another id": (body, signed() | {"webhook-id": "message-2"}),
        "another time": (body, signed() | {"webhook-timestamp": str(int(AT.timestamp()) + 1)}),
        "another version": (
            body,
            signed() | {"webhook-signature": signed()["webhook-signature"].replace("v1,", "v2,")},
        ),
        "no id": (body, signed() | {"webhook-id": ""}),
        "no time": (body, signed() | {"webhook-timestamp": "now"}),
        "another platform": (b'{"type":"knowledge.changes","platform":"01","changes":[]}', signed()),
    }
    for name, (content, headers) in wrong.items():
        answer = post(below, content, headers)
        assert answer.status_code == 401, (name, answer.text)
    for content in (b"{", b"\xff", b""):
        assert post(below, content, signed()).status_code in (400, 401, 422)
    assert below.standing() == {}
    assert post(below, body, signed()).json() == {"new": 1, "turned": 0, "known": 0, "refused": []}
    assert post(below, body, signed()).json() == {"new": 0, "turned": 0, "known": 1, "refused": []}
    bad = b'{"type":"knowledge.changes","platform":"00","changes":[{}]}'
    assert post(below, bad, signed(of=bad)).status_code == 422


def test_a_token_delivers_only_for_a_registered_source(two: tuple[Engine, Engine]) -> None:
    above, below = two
    published(above, "甲？", "一。")
    delivery = syncing.Delivery(type=syncing.MESSAGE_TYPE, platform="00", changes=changes_of(above))
    body = delivery.model_dump_json().encode()
    token = {"Authorization": f"Bearer {machine(below, '01')}"}
    assert post(below, body, token).status_code == 403
    editor = {"Authorization": f"Bearer {below.world.tokens['editor']}"}
    below.add_peer("00", above.address, outbox.make_secret(), pulls=True)
    assert post(below, body, editor).status_code == 403
    assert post(below, body, token).json()["new"] == 1
    assert below.standing() == above.standing()


# --- addresses ---------------------------------------------------------------------------------------------------------


def test_addresses_inside_are_not_sent_to_unless_allowed(two: tuple[Engine, Engine]) -> None:
    above, below = two
    peer = joined(above, below)
    published(above, "甲？", "一。")
    above.world.office.policy = replace(above.world.office.policy, allow_private_targets=False)
    above.push()
    assert "内部网络" in (above.peer(peer).last_problem or "")
    assert below.standing() == {}
    for url in (
        "http://127.0.0.1/x",
        "http://[::1]/x",
        "http://10.0.0.8/x",
        "http://169.254.169.254/latest",
        "http://localhost/x",
    ):
        with pytest.raises(OrderInvalid), Session(above.world.engine) as session:
            peers.add(
                above.desk(session), peers.PeerOrder(platform="00", name="测试", url=url), anywhere=True
            )
