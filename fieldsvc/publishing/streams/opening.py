"""Opening the stream sink where an operator asked for one: the one way in, so that its package stays optional."""

from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from fieldsvc.errors import UserMistake
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.sealed import Vault
from fieldsvc.settings import Settings
from fieldsvc.store.database import Database

if TYPE_CHECKING:
    from fieldsvc.publishing.streams.streams import Streams

SCHEMES = ("nats", "tls")


class Journal(Protocol):
    """What the sink needs of the platform."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def reader(self) -> Reader: ...
    @property
    def tail(self) -> Tail: ...
    @property
    def vault(self) -> Vault: ...


def open_streams(platform: Journal) -> "Streams | None":
    """Make the stream sink; None without `FIELDSVC_NATS_URL`. UserMistake if its package is missing or the URL is none."""
    settings = platform.settings
    if settings.nats_url is None:
        return None
    if find_spec("nats") is None:
        raise UserMistake("FIELDSVC_NATS_URL is set, but nats-py is not installed: pip install 'fieldsvc[nats]'.")
    servers = servers_of(settings.nats_url.get_secret_value())
    from fieldsvc.publishing.streams.broker import StreamLimits  # noqa: PLC0415 - nats-py is optional
    from fieldsvc.publishing.streams.shard import StreamPace, StreamTools  # noqa: PLC0415
    from fieldsvc.publishing.streams.streams import Streams  # noqa: PLC0415

    limits = StreamLimits(
        replicas=settings.nats_replicas,
        keep=timedelta(days=settings.nats_keep_days) if settings.nats_keep_days else None,
        most_bytes=settings.nats_max_bytes or None,
    )
    tools = StreamTools(
        platform.database, platform.reader, platform.tail, platform.vault.epoch, limits=limits, pace=StreamPace()
    )
    return Streams(servers, tools)


def servers_of(text: str) -> list[str]:
    """Read one server or more, comma-separated; UserMistake, without a word of it, for what is none."""
    servers = [part.strip() for part in text.split(",") if part.strip()]
    try:
        found = [urlsplit(server) for server in servers]
        right = bool(found) and all(each.scheme in SCHEMES and each.hostname and each.port != 0 for each in found)
    except ValueError:
        right = False
    if not right:
        raise UserMistake("FIELDSVC_NATS_URL must be nats://host:port or tls://host:port, or several with commas.")
    return servers
