"""第二因素: time-based codes (TOTP) on a person's phone, each good once, and ten recovery codes for when the phone is lost."""

import hashlib
import hmac
import io
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyotp
import segno

from hotline.people.identity import Credential
from hotline.privacy.sealing import Sealer, of_totp

ISSUER: Final = "12345热线"
RECOVERY_CODES: Final = 10
_STEP: Final = 30
_LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a person's authenticator needs: the secret, as a URI, and that as a picture to scan (SVG)."""

    secret: str
    uri: str
    qr_svg: str


def is_enrolled(credential: Credential | None) -> bool:
    """Whether a person has confirmed a second factor."""
    return credential is not None and credential.totp_confirmed_at is not None


def enrol(credential: Credential, sealer: Sealer, login: str) -> Enrolment:
    """A new secret, not yet in force: `confirm` it. An earlier one is gone. The caller commits."""
    secret = pyotp.random_base32()
    credential.totp_secret = sealer.seal(secret, of_totp(credential.person_id))
    credential.totp_confirmed_at = credential.totp_last_step = None
    credential.recovery_digests = []
    uri = pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=ISSUER)
    picture = io.BytesIO()
    segno.make(uri, error="m").save(picture, kind="svg", xmldecl=False, scale=4, border=4)
    return Enrolment(secret, uri, picture.getvalue().decode())


def confirm(credential: Credential, sealer: Sealer, code: str, at: datetime) -> list[str] | None:
    """Put the enrolled secret in force if `code` is of it; the recovery codes, told only here. None: a wrong code."""
    if not _is_code(credential, sealer, code, at):
        return None
    credential.totp_confirmed_at = at
    codes = ["".join(secrets.choice(_LETTERS) for _ in range(10)) for _ in range(RECOVERY_CODES)]
    credential.recovery_digests = [_digest(code) for code in codes]
    return [f"{code[:5]}-{code[5:]}" for code in codes]


def accept(credential: Credential, sealer: Sealer, code: str, at: datetime) -> str | None:
    """Whether `code` proves the second factor, and how: `totp`, `recovery` or not. Either is spent. The caller holds the row's lock."""
    if not is_enrolled(credential):
        return None
    if _is_code(credential, sealer, code, at):
        return "totp"
    offered = _digest(re.sub(r"[\s\-]", "", code).upper())
    if not any(hmac.compare_digest(offered, kept) for kept in credential.recovery_digests):
        return None
    credential.recovery_digests = [kept for kept in credential.recovery_digests if kept != offered]
    return "recovery"


def reset(credential: Credential) -> None:
    """Forget the second factor: a lost phone. The caller commits."""
    credential.totp_secret = credential.totp_confirmed_at = credential.totp_last_step = None
    credential.recovery_digests = []


def _is_code(credential: Credential, sealer: Sealer, code: str, at: datetime) -> bool:
    """Whether `code` is of this step or one beside it, and of none already used."""
    secret = sealer.open(credential.totp_secret, of_totp(credential.person_id))
    digits = re.sub(r"\s", "", code)
    if secret is None or not re.fullmatch(r"[0-9]{6}", digits):
        return False
    totp, now = pyotp.TOTP(secret), int(at.timestamp()) // _STEP
    for step in (now, now - 1, now + 1):
        fresh = credential.totp_last_step is None or step > credential.totp_last_step
        if fresh and hmac.compare_digest(totp.generate_otp(step), digits):
            credential.totp_last_step = step
            return True
    return False


def _digest(code: str) -> str:
    return hashlib.sha256(f"hotline12345/recovery/{code}".encode("utf-8", "surrogatepass")).hexdigest()
