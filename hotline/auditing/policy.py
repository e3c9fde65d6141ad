"""What an installation has settled about look-ups, exports and chains, from its settings."""

from dataclasses import dataclass

from hotline.auditing.chain import Algorithm


@dataclass(frozen=True, slots=True)
class Policy:
    """Defaults are those of `hotline.settings`. `shift` is `07:00-21:00` in Asia/Shanghai."""

    algorithm: Algorithm = Algorithm.SHA256
    unseal_minutes: int = 10
    alert_unseals_per_hour: int = 30
    shift: str = "07:00-21:00"
    export_hours: int = 72
    allow_private_targets: bool = False
    event_days: int = 180
