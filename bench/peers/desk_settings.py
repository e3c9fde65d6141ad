"""django-helpdesk as its handbook sets it up, on the PostgreSQL of PEER_DATABASE_URL (a libpq address), tuned where that is free.

In its favour: connections are kept, sign-in is one look at a token, no mail is sent, no webhooks, no teams, DEBUG off. Each request is one
transaction, which is what the hotline promises for an act, and for this peer the cheaper way (fewer commits).
"""

import os

from psycopg.conninfo import conninfo_to_dict

_PLACE = conninfo_to_dict(os.environ["PEER_DATABASE_URL"])

SECRET_KEY = "of a bench, with nothing to keep"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "desk_urls"
WSGI_APPLICATION = "desk_wsgi.application"
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
LANGUAGE_CODE = "zh-hans"
SITE_ID = 1
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
STATIC_URL = "/static/"
LOGIN_URL = "/login/"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "helpdesk",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _PLACE["dbname"],
        "USER": _PLACE.get("user", ""),
        "PASSWORD": _PLACE.get("password", ""),
        "HOST": _PLACE.get("host", ""),
        "PORT": str(_PLACE.get("port", "")),
        "CONN_MAX_AGE": None,
        "ATOMIC_REQUESTS": True,
    }
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
HELPDESK_TEAMS_MODE_ENABLED = False  # teams need another package
HELPDESK_API_ENABLED = True
LOGGING = {"version": 1, "disable_existing_loggers": False}
