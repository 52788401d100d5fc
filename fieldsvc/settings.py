"""Settings: the only reader of the environment. Each is `FIELDSVC_<NAME>`."""

import os
from datetime import time, tzinfo
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from fieldsvc.secret_settings import Secrets, usable

DEFAULT_SCHEDULE = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)


class Settings(BaseSettings):
    """What an operator can set, with its default."""

    model_config = SettingsConfigDict(env_prefix="FIELDSVC_", frozen=True, extra="ignore", hide_input_in_errors=True)

    var_dir: Path = Field(Path("var"), description="Folder of the embedded database, keys and demo files.")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL 15 or newer, as a URL. Unset: an embedded server under `FIELDSVC_VAR_DIR`."
    )
    master_key: SecretStr | None = Field(
        None, description="32 bytes in base64 that wrap every other key. Unset: made once, in a file of mode 0600."
    )
    master_key_previous: SecretStr | None = Field(
        None, description="The other master key while `fieldsvc keys rotate` is on its way; what it sealed opens too."
    )
    erasures_dir: Path | None = Field(
        None,
        description="Folder outside the database in which erasures are remembered, to be done again after a restore; the same "
        "for every process. Unset: `erasures` under `FIELDSVC_VAR_DIR`.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(None, description="The address that people and phones use; default: host and port.")
    timezone: str = Field("Europe/Paris", description="Zone of the rounds' days and of times in words.")
    namespace: str = Field(
        "fieldsvc://local",
        pattern=r"^[a-z][a-z0-9+.-]*://[A-Za-z0-9._~:/-]*[A-Za-z0-9]$",
        description="URI under which items, pouches and stops have their names in EPCIS and FHIR: keep it for good.",
    )
    log_level: str = Field("info", description="debug, info, warning or error.")
    log_format: str = Field("auto", description="console, json, or auto: console on a terminal.")
    max_body_bytes: int = Field(1_048_576, description="Largest decoded body of an upload.")
    max_batch_events: int = Field(500, description="Most events in one upload.")
    queue_events: int = Field(20_000, description="Events that may wait for the writer before uploads get 503.")
    queue_events_per_device: int = Field(2_000, description="Events of one device that may wait before it gets 429.")
    max_connections: int = Field(20_000, ge=1, description="Most connections at once; more get 503.")
    max_connections_per_address: int = Field(
        1_000,
        ge=1,
        description="Most connections from one address (of IPv6: one /64), but for this machine and the proxies.",
    )
    head_timeout_s: float = Field(5.0, gt=0, description="Longest wait for the whole head of a request.")
    body_stall_s: float = Field(7.0, gt=0, description="Longest wait for the next bytes of a body; then 408.")
    body_timeout_s: float = Field(
        300.0, gt=0, description="Longest time for a whole body; a picture goes on where it was cut."
    )
    reply_stall_s: float = Field(8.0, gt=0, description="Longest wait for a reader who takes nothing of an answer.")
    idle_timeout_s: float = Field(75.0, gt=0, description="How long a quiet connection is kept for its next request.")
    slowest_bytes_per_s: float = Field(
        1_000.0, gt=0, description="What a body or an answer must move on average, or it counts as standing still."
    )
    answer_timeout_s: float = Field(
        30.0, gt=0, description="Longest work on an answer, then 503; streams, long polls and pictures have their own."
    )
    refuses_after_s: float = Field(
        0.1,
        ge=0,
        le=5,
        description="Least time of a refusal of what is unknown, wrong or another's: all take the same.",
    )
    phones_first_s: float = Field(
        360.0,
        ge=0,
        le=86_400,
        description="After a start or an outage, how long nobody is told of what phones left unsaid: they may bring it.",
    )
    fast_matching: bool = Field(
        default=True,
        description="Match fixes compiled, where the extra `fast` is installed; it is made ready after the start.",
    )
    rate_limits: bool = Field(default=True, description="Refuse callers who ask too often, with 429 and Retry-After.")
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
        description="Networks of the proxies whose word about the caller's address is taken, comma-separated.",
    )
    operations_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="Port of its own for `/metrics`, which is then on no other; 0 takes a free one.",
    )
    operations_host: str = Field("127.0.0.1", description="Address on which the operations port listens.")
    lock_timeout_s: float = Field(5.0, description="Longest wait for a shard; then the batch answers 503.")
    retry_schedule: Annotated[tuple[float, ...], NoDecode] = Field(
        DEFAULT_SCHEDULE, description="Seconds before each attempt of an event, comma-separated."
    )
    lag_high_s: float = Field(
        900.0,
        gt=0,
        description="Age of an event that an endpoint still awaits from which its account is told, in seconds.",
    )
    allow_loopback_endpoints: bool = Field(
        default=False, description="Let webhooks reach loopback, http and any port there (demo and tests)."
    )
    nats_url: SecretStr | None = Field(
        None,
        description="NATS JetStream that gets every public event, as nats://user:password@host:port, several with commas. "
        "Unset: no stream.",
    )
    nats_replicas: int = Field(1, ge=1, le=5, description="How many servers of the NATS cluster keep the stream.")
    nats_keep_days: int = Field(
        30, ge=0, le=400, description="Days for which the stream keeps events; 0: as long as there is room."
    )
    nats_max_bytes: int = Field(
        0, ge=0, description="Largest size of the stream, then its oldest events go; 0: no limit of its own."
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
    health_module: bool = Field(
        default=True,
        description="0 runs without the services that hold health data, and without their tables; refused where there is any.",
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
    help_phone: str = Field(
        "",
        max_length=40,
        pattern=r"^[0-9+(). -]*$",
        description="Number that people without a screen call, as it stands on notices and on `/suivi/aide`. Empty: none.",
    )
    quiet_hours: str = Field(
        "22:00-07:00",
        description="Local hours, over midnight too, in which no telephone rings: text messages, calls and news by mail wait; "
        "alarms and codes do not. Empty: never.",
    )
    egress_addresses: str = Field(
        "",
        description="Addresses from which webhooks leave, comma-separated, as subscribers are shown them for their firewalls. "
        "Empty: none are promised.",
    )
    oidc_issuer: str | None = Field(
        None,
        description="Issuer of the OpenID Connect provider with which customers sign in, as an https URL. Unset: none.",
    )
    oidc_client_id: str = Field("", description="Name under which that provider knows this service.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="Secret of that name. Unset: a public client, by PKCE alone."
    )
    oidc_scopes: str = Field("openid email", description="Scopes that customers are asked for, with spaces.")
    oidc_acr: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Values of `acr` that are at least substantial, the asked one first, comma-separated, as eidas2,eidas3. "
        "Empty: the provider has no levels.",
    )
    staff_oidc_issuer: str | None = Field(
        None, description="Issuer of the OpenID Connect provider with which staff sign in. Unset: by link only."
    )
    staff_oidc_client_id: str = Field("", description="Name under which that provider knows this service.")
    staff_oidc_client_secret: SecretStr | None = Field(None, description="Secret of that name.")
    staff_oidc_scopes: str = Field("openid email groups", description="Scopes that staff are asked for, with spaces.")
    staff_oidc_claim: str = Field("groups", description="Claim of staff's ID token that holds what `_ROLES` names.")
    staff_oidc_roles: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Which value of that claim is which role at which site, the first that fits counts, comma-separated, as "
        "`team-lead=supervisor@pantin,back-office=adviser`.",
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
    audit_heads: Path | None = Field(
        None,
        description="File for the signed links of the audit log, best on another machine. Unset: `audit-heads.jsonl` under "
        "`FIELDSVC_VAR_DIR`.",
    )
    pool_size: int = Field(8, ge=2, description="Database connections of a process beside the writer's.")
    api_key: SecretStr | None = Field(None, description="A subscriber's API key, for `fieldsvc listen` alone.")

    @field_validator("retry_schedule", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return tuple(float(part) for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read secrets apart, from the environment or from files."""
        del dotenv_settings, file_secret_settings
        return init_settings, Secrets(settings_cls, os.environ), env_settings

    @field_validator("*", mode="before")
    @classmethod
    def _usable(cls, value: object) -> object:
        return usable(value)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("oidc_acr", "staff_oidc_roles", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("duty_hours")
    @classmethod
    def _known_hours(cls, value: str) -> str:
        read_hours(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError("no such timezone") from error
        return value

    @field_validator("quiet_hours")
    @classmethod
    def _known_quiet(cls, value: str) -> str:
        read_quiet(value)
        return value

    @field_validator("egress_addresses")
    @classmethod
    def _known_addresses(cls, value: str) -> str:
        read_addresses(value)
        return value

    @property
    def quiet(self) -> tuple[time, time] | None:
        """The hours in which nothing rings: from, until."""
        return read_quiet(self.quiet_hours)

    @property
    def egress(self) -> tuple[str, ...]:
        """The addresses from which webhooks leave."""
        return read_addresses(self.egress_addresses)

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


def without_settings() -> dict[str, str]:
    """Give the environment for a process with settings of its own. How fixes are matched stays: both ways can be measured."""
    kept = f"{Settings.model_config.get('env_prefix')}FAST_MATCHING"
    return {name: value for name, value in os.environ.items() if name == kept or not name.startswith("FIELDSVC_")}


def read_hours(text: str) -> tuple[time, time] | None:
    """Read `07:00-14:30`; None for nothing. ValueError unless it ends later on the same day."""
    if not text.strip():
        return None
    first, _, until = (part.strip() for part in text.partition("-"))
    hours = time.fromisoformat(first), time.fromisoformat(until)
    if hours[0] >= hours[1] or any(hour.tzinfo is not None for hour in hours):
        raise ValueError("hours are a start and a later end, as 07:00-14:30")
    return hours


def read_quiet(text: str) -> tuple[time, time] | None:
    """Read `22:00-07:00`; None for nothing. ValueError for what are no two different times."""
    if not text.strip():
        return None
    first, _, until = (part.strip() for part in text.partition("-"))
    hours = time.fromisoformat(first), time.fromisoformat(until)
    if hours[0] == hours[1] or any(hour.tzinfo is not None for hour in hours):
        raise ValueError("quiet hours are a start and an end, as 22:00-07:00")
    return hours


def read_addresses(text: str) -> tuple[str, ...]:
    """Read addresses or networks. ValueError for what is none."""
    return tuple(str(ip_network(part.strip())) for part in text.split(",") if part.strip())
