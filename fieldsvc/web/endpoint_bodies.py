"""What the routes of endpoints take."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fieldsvc.publishing.endpoints import OVERLAP_S

WEEK_S = 604_800.0
Types = Annotated[list[Annotated[str, Field(max_length=120)]], Field(max_length=50)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Options(_Body):
    types: Types | None = Field(None, description="Names such as `item.delivered`, `*` for a segment; none means all.")
    thin: bool | None = Field(None, description="Leave the data out; `dataref` says where they are. CloudEvents alone.")
    mode: Literal["subject", "parallel"] | None = Field(
        None,
        description="`subject` (default): in order, one request at a time for each subject. `parallel`: in no order.",
    )
    batch: int | None = Field(None, ge=1, le=100, description="Up to so many events in a request; 1 by default.")
    format: Literal["cloudevents", "epcis", "fhir", "suivi"] | None = Field(
        None, description="`cloudevents` by default; events that a format cannot say are not sent."
    )
    filter: dict[str, Any] | None = Field(
        None,
        description=(
            "A condition over the CloudEvent as this endpoint may see it, and over its `site`. Operators: $eq $neq $gt $gte $lt "
            "$lte $in $nin $startsWith $endsWith $contains $exist $and $or $not; objects are paths, and an array matches if one "
            "of its elements does. At most 4 KiB, 50 conditions, 12 levels. What is left out or erased never matches."
        ),
        examples=[{"type": {"$startsWith": "fieldsvc.item."}, "data": {"next": {"$in": ["office_hold", "return"]}}}],
    )
    sites: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=50)] | None = Field(
        None, description="Only events of these sites."
    )
    postcodes: Annotated[list[Annotated[str, Field(pattern=r"^[0-9]{1,5}$")]], Field(max_length=100)] | None = Field(
        None,
        description=(
            "Only events at postcodes that begin so: that of the delivery point that the event names, or of its item's newest "
            "task. An event whose postcode is not known is not sent."
        ),
    )
    headers: Annotated[dict[str, str], Field(max_length=20)] | None = Field(
        None,
        description="Headers of every request; kept sealed, and only their names are shown. A change replaces all of them; "
        "so does a `url` at another host, which drops these and the bearer.",
        examples=[{"X-Tenant": "north"}],
    )
    bearer: str | None = Field(
        None, min_length=1, max_length=2048, description="Sent as `Authorization: Bearer …`; kept sealed, never shown."
    )
    rate_per_s: float | None = Field(
        None, ge=0.1, le=10_000, allow_inf_nan=False, description="At most so many events a second."
    )
    in_flight: int | None = Field(None, ge=1, le=64, description="At most so many requests at once; 8 by default.")
    on_exhausted: Literal["dead_letter", "block"] | None = Field(
        None,
        description=(
            "When the schedule of an event is used up: `dead_letter` (default) records it and goes on with its subject, `block` "
            "holds the subject."
        ),
    )
    schedule: Annotated[list[Annotated[float, Field(ge=0, le=WEEK_S)]], Field(min_length=1, max_length=50)] | None = (
        Field(
            None,
            description="Seconds before each attempt of an event, the first among them; the service's own by default.",
        )
    )
    description: str | None = Field(None, max_length=500, description="For yourself.")

    @property
    def asked(self) -> dict[str, Any]:
        """What the body names, by the names of the fields."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class NewEndpoint(_Options):
    """What `POST /v1/endpoints` takes; `from` is "oldest" or a cursor of the feed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://receiver.example/hook",
                    "types": ["item.*"],
                    "batch": 20,
                    "filter": {"data": {"next": {"$in": ["office_hold", "return"]}}},
                    "postcodes": ["93", "75019"],
                    "headers": {"X-Tenant": "north"},
                    "rate_per_s": 50,
                    "description": "Dépôt nord",
                    "from": "oldest",
                }
            ]
        }
    )

    url: str = Field(max_length=2048)
    start: str | None = Field(
        None, alias="from", max_length=400, description="`oldest`, or a cursor of the feed; from now on by default."
    )


class EndpointChange(_Options):
    """What `PATCH /v1/endpoints/{id}` takes; null puts a member back to its default."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"batch": 50, "filter": None, "bearer": "a-token-of-yours"}]}
    )

    url: str | None = Field(None, max_length=2048)


class Rotation(_Body):
    """What `POST /v1/endpoints/{id}/secret/rotate` takes: for how long the old keys still sign."""

    overlap_s: float = Field(OVERLAP_S, ge=0, le=WEEK_S, allow_inf_nan=False)


class Resumption(_Body):
    """What `POST /v1/endpoints/{id}/resume` takes: from where it goes on."""

    start: Literal["cursor", "now"] = Field(
        "cursor", alias="from", description="Where it stopped, or from now on: what it has not read is skipped."
    )
