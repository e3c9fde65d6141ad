"""承办单位接收程序示例: takes the hotline's events, verified, each once, a ticket's newest last.

UNIT_WEBHOOK_SECRET="whsec_…" uvicorn examples.unit_receiver:app --port 9000
hotline unit-check --url http://127.0.0.1:9000/hotline --secret "whsec_…"

Two secrets, separated by a blank, are both good while they are being changed. What was received is kept in a SQLite file
(UNIT_DATABASE), so that a restart forgets nothing; `handle` is where a unit's own work begins.
"""

import json
import logging
import os
import sqlite3
import threading

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from standardwebhooks import Webhook, WebhookVerificationError

log = logging.getLogger("unit")
HOOKS = [Webhook(secret) for secret in os.environ["UNIT_WEBHOOK_SECRET"].split()]
MOST_BYTES = 256 * 1024
app = FastAPI(title="承办单位接收程序示例")
lock = threading.Lock()
database = sqlite3.connect(os.environ.get("UNIT_DATABASE", ":memory:"), check_same_thread=False)
database.executescript("""
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, subject TEXT, sequence TEXT, type TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS tickets (subject TEXT PRIMARY KEY, sequence TEXT, state TEXT, version INTEGER);
""")


@app.post("/hotline")
async def receive(request: Request) -> Response:
    """One event: 401 unless it is the hotline's, 2xx once it is safely kept, also for one that was kept before."""
    body = await request.body()
    if len(body) > MOST_BYTES or not verified(body, dict(request.headers)):
        return Response(status_code=401)
    try:
        event = json.loads(body)
    except ValueError:
        return Response(status_code=400)
    outcome = await run_in_threadpool(keep, event, body.decode())
    return Response(status_code=204, headers={"webhook-outcome": outcome})


def verified(body: bytes, headers: dict[str, str]) -> bool:
    """Whether any of the secrets signed these very bytes within the last five minutes."""
    for hook in HOOKS:
        try:
            hook.verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):
            continue
        return True
    return False


def keep(event: dict, body: str) -> str:
    """Keep the event and the ticket's newest state in one transaction; what became of it."""
    subject, sequence = event.get("subject"), event["sequence"]
    with lock, database:
        row = (event["id"], subject, sequence, event["type"], body)
        if database.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)", row).rowcount == 0:
            return "duplicate"
        if subject is None:
            return "handled"
        newer = database.execute(
            "SELECT 1 FROM tickets WHERE subject = ? AND sequence > ?", (subject, sequence)
        )
        if newer.fetchone():
            return "stale"
        data = event["data"]
        row = (subject, sequence, data["state"], data["version"])
        database.execute("INSERT OR REPLACE INTO tickets VALUES (?, ?, ?, ?)", row)
        handle(event)
        return "handled"


def handle(event: dict) -> None:
    """办理从这里开始: fetch the ticket at `data.link`, do one of its `acts`, show it to whoever works on it."""
    log.info("%s %s", event["type"], event["subject"])
