"""Settings: the only reader of the environment. Each is `FIELDSVC_<NAME>`."""

from datetime import time, tzinfo
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_SCHEDULE = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)


class Settings(BaseSettings):
    """What an operator can set, with its default."""

    model_config = SettingsConfigDict(env_prefix="FIELDSVC_", frozen=True, extra="ignore")

    var_dir: Path = Field(Path("var"), description="Folder of the embedded database, keys and demo files.")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL 15 or newer, as a URL. Unset: an embedded server under `FIELDSVC_VAR_DIR`."
    )
    master_key: SecretStr | None = Field(
        None, description="32 bytes in base64 that wrap every other key. Unset: made once, in a file of mode 0600."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(None, description="The address that people and phones use; default: host and port.")
    timezone: str = Field("Europe/Paris", description="Zone of the rounds' days and of times in words.")
    log_level: str = Field("info", description="debug, info, warning or error.")
    log_format: str = Field("auto", description="console, json, or auto: console on a terminal.")
    max_body_bytes: int = Field(1_048_576, description="Largest decoded body of an upload.")
    max_batch_events: int = Field(500, description="Most events in one upload.")
    queue_events: int = Field(20_000, description="Events that may wait for the writer before uploads get 503.")
    queue_events_per_device: int = Field(2_000, description="Events of one device that may wait before it gets 429.")
    lock_timeout_s: float = Field(5.0, description="Longest wait for a shard; then the batch answers 503.")
    retry_schedule: Annotated[tuple[float, ...], NoDecode] = Field(
        DEFAULT_SCHEDULE, description="Seconds before each attempt of an event, comma-separated."
    )
    allow_loopback_endpoints: bool = Field(
        default=False, description="Let webhooks reach loopback, http and any port there (demo and tests)."
    )
    shutdown_timeout_s: float = Field(15.0, description="Longest wait for requests in flight when stopping.")
    keep_tracks_days: int = Field(
        0, ge=0, le=60, description="Days for which fixes on duty are kept as they came; 0 keeps none: progress only."
    )
    duty_hours: str = Field(
        "", description="Local hours, as 07:00-14:30, at which covered runs start and end by themselves; empty: never."
    )
    basemap: Path | None = Field(
        None, description="The ground under the map: a GeoJSON file, plain or gzip. Unset: paper and rounds only."
    )
    geocoder_online: str = Field(
        "",
        pattern=r"^(?:(?:ban|nominatim|photon)(?:@https?://\S+)?|https?://\S+)?$",
        description="A second opinion on addresses, only for `explain address --online`: ban, nominatim, photon, one of these "
        "at an address of your own (photon@https://host), or the URL of an addok. Empty: none.",
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server for notices: smtp://, submission:// or smtps://user:password@host. Unset: no mail.",
    )
    mail_from: str = Field("", description="Sender of notices by mail, as `Post <post@example.org>`.")
    notice_gateway_url: str | None = Field(
        None, description="An https URL that takes text messages and letters to print, as signed JSON. Unset: neither."
    )
    notice_gateway_secret: SecretStr | None = Field(
        None, description="Key that signs what goes to the gateway: `whsec_` and base64 (Standard Webhooks)."
    )
    cutoff_stops: int = Field(
        5, ge=0, description="How many stops before the door a customer may still change what happens at it."
    )
    max_media_bytes: int = Field(16_777_216, ge=1_024, description="Largest picture as a phone sends it.")
    media_url: str | None = Field(
        None, description="s3://bucket/prefix for pictures. Unset: the folder `media` under `FIELDSVC_VAR_DIR`."
    )
    media_endpoint: str | None = Field(None, description="Address of an S3-compatible server; unset: Amazon's.")
    media_region: str = Field("us-east-1", description="Region of the bucket.")
    media_access_key: SecretStr | None = Field(
        None, description="Access key id for the bucket; unset with the secret: what the machine has (AWS_*, its role)."
    )
    media_secret_key: SecretStr | None = Field(None, description="Secret access key for the bucket.")
    pool_size: int = Field(8, ge=2, description="Database connections of a process beside the writer's.")
    api_key: SecretStr | None = Field(None, description="A subscriber's API key, for `fieldsvc listen` alone.")

    @field_validator("retry_schedule", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return tuple(float(part) for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("duty_hours")
    @classmethod
    def _known_hours(cls, value: str) -> str:
        read_hours(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        ZoneInfo(value)
        return value

    @property
    def hours(self) -> tuple[time, time] | None:
        """The hours of duty as times of the day."""
        return read_hours(self.duty_hours)

    @property
    def address(self) -> str:
        """The address that people use, as it stands in letters and mails."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def zone(self) -> tzinfo:
        """The zone as an object."""
        return ZoneInfo(self.timezone)


def read_hours(text: str) -> tuple[time, time] | None:
    """Read `07:00-14:30`; None for nothing. ValueError unless it ends later on the same day."""
    if not text.strip():
        return None
    first, _, until = (part.strip() for part in text.partition("-"))
    hours = time.fromisoformat(first), time.fromisoformat(until)
    if hours[0] >= hours[1] or any(hour.tzinfo is not None for hour in hours):
        raise ValueError("hours are a start and a later end, as 07:00-14:30")
    return hours
