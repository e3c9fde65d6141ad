"""Which means a site has, from its settings: e-mail by SMTP, texts by a gateway, or either only recorded, or neither."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from hotline.notifying.mail import Mailer, Post
from hotline.notifying.messages import Recorded, Sender
from hotline.notifying.sms import Account, Gateway, Quiet, read_codes
from hotline.settings import Settings
from workflow.vocabulary import Means

How = Literal["smtp", "gateway", "recorded", "off"]


@dataclass(frozen=True, slots=True)
class Senders:
    """How each means goes out here (a means that is off is not in `makers`), and when texts do not."""

    makers: Mapping[Means, Callable[[], Sender]]
    how: Mapping[Means, How]
    signature: str
    quiet: Quiet
    sms_secret: str | None = None


def open_senders(settings: Settings) -> Senders:
    """What these settings give. Connects to nothing. Raises `PackInvalid` for a table of template codes that cannot be read."""
    makers: dict[Means, Callable[[], Sender]] = {}
    how: dict[Means, How] = {}
    if settings.smtp_host is not None:
        post = _post(settings, settings.smtp_host)
        makers[Means.EMAIL], how[Means.EMAIL] = lambda: Mailer(post), "smtp"
    if settings.sms_url is not None:
        account = _account(settings, settings.sms_url)
        makers[Means.SMS], how[Means.SMS] = lambda: Gateway(account), "gateway"
    for means in Means:
        if means not in makers and settings.notices_recorded:
            makers[means], how[means] = Recorded, "recorded"
    return Senders(
        makers,
        {means: how.get(means, "off") for means in Means},
        settings.sms_signature,
        Quiet.parse(settings.sms_quiet),
        settings.sms_secret.get_secret_value() if settings.sms_secret else None,
    )


def _post(settings: Settings, host: str) -> Post:
    assert settings.mail_from is not None  # the settings say so
    return Post(
        host,
        settings.smtp_port,
        settings.smtp_security,
        settings.mail_from,
        settings.sms_signature,
        settings.smtp_user,
        settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        settings.smtp_ca_file,
    )


def _account(settings: Settings, url: str) -> Account:
    assert settings.sms_secret is not None  # the settings say so
    return Account(
        url,
        settings.sms_secret.get_secret_value(),
        settings.sms_signature,
        read_codes(settings.sms_templates_file) if settings.sms_templates_file else None,
        settings.allow_private_targets,
    )
