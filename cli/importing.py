"""Who imports files here: the importer of a store, with the user's settings."""

from addons.disk import DiskLimits
from addons.importing import Importer
from addons.redaction import Redactor
from cli.settings import Settings
from storage.store import Store


def importer(store: Store, settings: Settings) -> Importer:
    """What a file holds is cut as the proxy would have cut it."""

    def redactor() -> Redactor:
        return Redactor(
            store.datadir.hmac_key(),
            enabled=not settings.record_secrets,
            extra_headers=settings.secret_headers,
            extra_endpoints=settings.credential_endpoints,
        )

    limits = DiskLimits(
        min_free_bytes=settings.disk.min_free_mb << 20,
        max_spool_bytes=int(settings.spool.max_gb * (1 << 30)),
    )
    return Importer(store, redactor, limits)
