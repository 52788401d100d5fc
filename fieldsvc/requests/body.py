"""The bodies of delivery changes, checked at the border: nothing unknown is taken, and no fault quotes a value."""

from datetime import date
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fieldsvc.errors import Invalid
from fieldsvc.faults import faults_of, said
from handlers import products
from handlers.delivery_change import KindName
from handlers.fields import Day, Id, Note, Text

Word = Annotated[Text, Field(min_length=1, max_length=200)]
Body = TypeVar("Body", bound=BaseModel)


class BadChange(Invalid):
    """The request is not valid."""

    code = "bad_change"


class ContactBody(BaseModel):
    """How who asks is told what becomes of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")] | None = None
    mobile: Annotated[str, Field(pattern=r"^\+[0-9]{6,15}$")] | None = None
    voice: Annotated[str, Field(pattern=r"^\+[0-9]{6,15}$")] | None = None
    lang: Literal["fr", "en"] = "fr"


class DetailsBody(BaseModel):
    """What a kind needs; `postcode` shows that a customer knows where the item goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    postcode: Annotated[str, Field(max_length=12)] | None = None
    neighbour: Word | None = None
    place: Annotated[Note, Field(min_length=1)] | None = None
    pickup_point: Id | None = None
    proxy: Word | None = None
    new_address: Annotated[Text, Field(min_length=5, max_length=300)] | None = None
    names: Annotated[list[Word], Field(min_length=1, max_length=20)] | None = None
    contact: ContactBody | None = None


class ChangeBody(BaseModel):
    """`POST /v1/delivery-changes`. `identity` counts only from an adviser or the counter, who say whom they saw."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)
    kind: KindName
    item_id: Id | None = None
    delivery_point_id: Id | None = None
    from_: Day | None = Field(default=None, alias="from")
    to: Day | None = None
    details: DetailsBody = DetailsBody()
    asked_by: Literal["customer", "adviser", "counter", "carrier", "supervisor"] | None = None
    identity: Literal["none", "account", "substantial", "counter"] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "ChangeBody":
        if (self.item_id is None) == (self.delivery_point_id is None):
            raise ValueError("item_id or delivery_point_id is needed, not both")
        missing = [name for name in products.KINDS[self.kind].fields if self.said(name) is None]
        if missing:
            raise ValueError(f"{self.kind} needs {', '.join(missing)}")
        if self.from_ and self.to and date.fromisoformat(self.from_) > date.fromisoformat(self.to):
            raise ValueError("it ends before it begins")
        return self

    def said(self, name: str) -> Any:
        """Return what was said under a name that a kind needs."""
        return self.from_ if name == "from" else self.to if name == "to" else getattr(self.details, name)


class ConfirmBody(BaseModel):
    """The code of the letter; or whom somebody at the counter saw; or what a carrier heard at the door."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    code: Annotated[str, Field(min_length=4, max_length=40)] | None = None
    identity: Literal["account", "substantial", "counter"] | None = None
    answer: Literal["confirms", "no", "nobody", "unknown_name"] | None = None

    @model_validator(mode="after")
    def _says_one(self) -> "ConfirmBody":
        if sum(each is not None for each in (self.code, self.identity, self.answer)) != 1:
            raise ValueError("one of code, identity and answer is needed")
        return self


class EndBody(BaseModel):
    """Why it ends; `token` is the one of the link on a notice."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    reason: Literal["asked", "not_me", "fraud", "mistake"] | None = None
    token: Annotated[str, Field(max_length=100)] | None = None


def read_body(model: type[Body], sent: object) -> Body:
    """Check a decoded JSON body; BadChange names the members that are wrong, never their values."""
    try:
        return model.model_validate_json(orjson.dumps(sent), strict=True)
    except ValidationError as error:
        members = sorted({fault.member for fault in faults_of(model, error)})
        raise BadChange(said(model, error), members=members) from None
    except (orjson.JSONEncodeError, TypeError):
        raise BadChange("The body is a JSON object.") from None
