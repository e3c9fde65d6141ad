"""Opening an office: what every desk of one process shares, from the settings."""

from hotline.auditing.chain import Algorithm
from hotline.auditing.policy import Policy
from hotline.auditing.signing import Signer
from hotline.case import Office
from hotline.privacy.keyring import SUITES, KeyRing, open_ring
from hotline.privacy.sealing import Sealer
from hotline.settings import Settings
from hotline.storage.blobs import BlobStore


def open_office(settings: Settings) -> Office:
    """The office of this process: key ring, blob store, calendars. Makes keys and folders on first use."""
    return Office(
        policy=policy_of(settings),
        signer=Signer(settings.signing_key_file or settings.data_dir / "signing.key"),
        sealer=Sealer(ring_of(settings)),
        blobs=BlobStore(settings.data_dir / "blobs", settings.attachment_max_bytes),
    )


def ring_of(settings: Settings) -> KeyRing:
    """The key ring of personal fields. Raises `KeyRingBroken`."""
    path = settings.keyring_file or settings.data_dir / "keyring.json"
    return open_ring(path, settings.data_dir / "field.key", SUITES[settings.cipher])


def policy_of(settings: Settings) -> Policy:
    """What the settings say about look-ups, exports and chains."""
    return Policy(
        algorithm=Algorithm.SM3 if settings.cipher == "sm" else Algorithm.SHA256,
        unseal_minutes=settings.unseal_minutes,
        alert_unseals_per_hour=settings.alert_unseals_per_hour,
        shift=settings.shift,
        export_hours=settings.export_hours,
        allow_private_targets=settings.allow_private_targets,
        event_days=settings.event_days,
    )
