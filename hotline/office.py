"""Opening an office: what every desk of one process shares, from the settings."""

from hotline.blobs import BlobStore
from hotline.case import Office
from hotline.sealing import Sealer, load_or_make_key
from hotline.settings import Settings


def open_office(settings: Settings) -> Office:
    """The office of this process: field key, blob store, calendars. Makes the key and folders on first use."""
    return Office(
        sealer=Sealer(load_or_make_key(settings.data_dir)),
        blobs=BlobStore(settings.data_dir / "blobs", settings.attachment_max_bytes),
    )
