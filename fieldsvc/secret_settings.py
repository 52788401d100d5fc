"""Secrets among the settings: from the environment, or from the file that `FIELDSVC_<NAME>_FILE` names; never a weak one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

_LARGEST = 16_384
_EXAMPLES = frozenset(
    "secret password passwd passphrase pass changeme change-me change_me default admin root test demo postgres fieldsvc "
    "minioadmin letmein qwerty 123456 12345678 123456789 guest user key token none null placeholder todo".split()
)
_HINTS = tuple(
    "example changeme change-me change_me change_this changethis choose replace your- your_ xxxx < > ${ … ... insert openssl "
    "redacted".split()
)


class Unusable:
    """Stands for a secret that cannot be used; `fault` says why, and holds nothing of it."""

    def __init__(self, fault: str) -> None:
        self.fault = fault


def secret_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Name the fields of a model that hold secrets."""
    return tuple(name for name, field in model.model_fields.items() if "SecretStr" in str(field.annotation))


class Secrets(PydanticBaseSettingsSource):
    """Reads secrets only, before what reads all settings."""

    def __init__(self, settings: type[BaseSettings], environment: Mapping[str, str]) -> None:
        super().__init__(settings)
        self._environment = {name.upper(): value for name, value in environment.items()}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Read one secret."""
        del field
        name = f"{self.config.get('env_prefix', '')}{field_name}".upper()
        return read_secret(self._environment.get(name), self._environment.get(f"{name}_FILE")), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Read every secret that is set."""
        found = {
            name: self.get_field_value(self.settings_cls.model_fields[name], name)[0]
            for name in secret_names(self.settings_cls)
        }
        return {name: value for name, value in found.items() if value is not None}


def read_secret(value: str | None, file: str | None) -> SecretStr | Unusable | None:
    """Read a secret as it was set or from its file, without the white space around it; None if it is not set."""
    if file is not None:
        if value is not None:
            return Unusable("is set twice, by itself and by its file")
        try:
            with Path(file).open(encoding="utf-8") as opened:
                value = opened.read(_LARGEST)
        except (OSError, ValueError):
            return Unusable("names a file that cannot be read")
    if value is None:
        return None
    fault = fault_of(value.strip())
    return Unusable(fault) if fault else SecretStr(value.strip())


def fault_of(secret: str) -> str | None:
    """Say what is wrong with a secret, in words that hold nothing of it; of a URL its password is meant."""
    if not secret:
        return "is empty"
    guarded: str | None = secret
    if "://" in secret:
        try:
            guarded = urlsplit(secret).password
        except ValueError:
            return "is no URL"
        if guarded is None:
            return None
    word = (guarded or "").strip().lower()
    if not word:
        return "has an empty password"
    if word in _EXAMPLES or any(hint in word for hint in _HINTS) or len(set(word)) == 1 < len(word):
        return "looks like an example or a default"
    return None


def usable(value: object) -> object:
    """Pass a secret on. PydanticCustomError of the type `secret` for one that cannot be used."""
    if isinstance(value, Unusable):
        raise PydanticCustomError("secret", "{fault}", {"fault": value.fault})
    return value
