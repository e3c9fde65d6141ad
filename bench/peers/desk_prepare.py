"""Migrate PEER_DATABASE_URL, add a queue and a member of staff; print the queue's id, a token and a session's key as JSON."""

import json
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "desk_settings")
django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from helpdesk.models import Queue  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402


def main() -> None:
    """Do it; run again it adds nothing but a session."""
    call_command("migrate", interactive=False, verbosity=0)
    queue, _ = Queue.objects.get_or_create(slug="t", defaults={"title": "测试队列"})
    user, _ = get_user_model().objects.get_or_create(
        username="test", defaults={"is_staff": True, "is_superuser": True}
    )
    token, _ = Token.objects.get_or_create(user=user)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    told = {"queue": queue.pk, "user": user.pk, "token": token.key, "session": session.session_key}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
