"""JSON Schema from pydantic models, with the class of every field as `x-class`, alone or as components of a document."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from handlers.fields import PERSONAL, PUBLIC, FieldClass, Payload, PublicData

Schema = dict[str, Any]
COMPONENTS, DEFS = "#/components/schemas/", "#/$defs/"
_NAME = "x-name"


class _Classed(GenerateJsonSchema):
    """Marks each property with its field class, and leaves out titles that only repeat names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Set none."""
        del schema
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Describe a model with its name and the classes of its fields."""
        found, model = super().model_schema(schema), cast(type[BaseModel], schema["cls"])
        found.pop("title", None)
        for shown in found.get("properties", {}).values():
            if shown.get("default", ...) is None:
                del shown["default"]
        if issubclass(model, Payload | PublicData) or _classes(model):
            _mark(found, model)
        return found | {_NAME: f"{model.__module__.rpartition('.')[2]}.{model.__name__}"}


def schema_of(model: type[BaseModel]) -> Schema:
    """Return a model's JSON Schema (2020-12), whole, with `$defs`."""
    whole = _without_names(_raw(model))
    return _sendable(whole) if issubclass(model, PublicData) else whole


class Components:
    """The `components.schemas` of one document: models under `<file>.<Class>`, and schemas written by hand."""

    def __init__(self, written: Mapping[str, Schema]) -> None:
        self.schemas: dict[str, Schema] = dict(written)

    def ref(self, model: type[BaseModel]) -> Schema:
        """Add a model with what it is made of, and return the reference to it."""
        whole = _raw(model)
        parts = whole.pop("$defs", {})
        name = whole[_NAME]
        refs = {DEFS + key: COMPONENTS + part[_NAME] for key, part in parts.items()}
        for part in (whole, *parts.values()):
            self.schemas.setdefault(part[_NAME], _without_names(_pointed(part, refs)))
        if issubclass(model, PublicData):
            self.schemas[name] = _sendable(self.schemas[name])
        return {"$ref": COMPONENTS + name}


def ref(name: str) -> Schema:
    """Point to a component."""
    return {"$ref": COMPONENTS + name}


def _raw(model: type[BaseModel]) -> Schema:
    return model.model_json_schema(by_alias=True, schema_generator=_Classed)


def _classes(model: type[BaseModel]) -> dict[str, FieldClass]:
    """Map the fields that say their class themselves; a field with a model inside may leave it to that model."""
    marks = {
        field.alias or name: next((mark for mark in field.metadata if isinstance(mark, FieldClass)), None)
        for name, field in model.model_fields.items()
    }
    return {name: mark for name, mark in marks.items() if mark is not None}


def _mark(schema: Schema, model: type[BaseModel]) -> None:
    classes = _classes(model)
    for name, shown in schema.get("properties", {}).items():
        declared = classes.get(name)
        if declared is None and not _holds_model(shown):
            declared = PERSONAL  # what says nothing is personal
        if declared is not None:
            shown["x-class"] = declared.value
    if issubclass(model, PublicData):
        _relax(schema)


def _holds_model(shown: Schema) -> bool:
    return "$ref" in shown or any("$ref" in arm for arm in shown.get("anyOf", ()))


def _relax(schema: Schema) -> None:
    """Require of public data only what every reader gets."""
    required = [
        name
        for name in schema.get("required", ())
        if schema["properties"][name].get("x-class", PUBLIC.value) == PUBLIC.value
    ]
    schema.pop("required", None)
    if required:
        schema["required"] = required


def _sendable(schema: Schema) -> Schema:
    """Add what publishing may say beside the data: that a part of it was erased."""
    erased = {"const": True, "description": "A part of this was erased.", "x-class": PUBLIC.value}
    return {**schema, "properties": {**schema.get("properties", {}), "erased": erased}}


def _pointed(value: Any, refs: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: refs[inner] if key == "$ref" and isinstance(inner, str) else _pointed(inner, refs)
            for key, inner in value.items()
        }
    return [_pointed(each, refs) for each in value] if isinstance(value, list) else value


def _without_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_names(inner) for key, inner in value.items() if key != _NAME}
    return [_without_names(each) for each in value] if isinstance(value, list) else value
