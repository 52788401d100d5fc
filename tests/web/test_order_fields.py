"""The form of an order is drawn from the service's own model: a new service has its form by itself."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from fieldsvc.web import order_fields
from fieldsvc.web.forms import Form
from handlers.fields import Day
from handlers.key import Keys
from handlers.order_forms import Order, asked
from handlers.registry import discover


class Watered(Order):
    """What a service that waters plants would ask."""

    plants: int = Field(ge=1, le=20, json_schema_extra=asked("Combien de plantes ?", "How many plants?"))
    room: Literal["kitchen", "balcony"] = "kitchen"
    tools: list[Literal["can", "hose"]] = Field(
        [], json_schema_extra=asked("Outils", "Tools", words={"can": ("Arrosoir", "Can")})
    )
    key_inside: bool = False
    last_on: Day | None = None


class Watering(Keys):
    order: ClassVar[type[Order] | None] = Watered


def filled(**values: str | tuple[str, ...]) -> Form:
    several = {f"about_{name}": (value if isinstance(value, tuple) else (value,)) for name, value in values.items()}
    return Form({name: each[-1] for name, each in several.items() if each}, several)


def test_each_kind_of_field_is_drawn_in_the_readers_language() -> None:
    fields = {each.name: each for each in order_fields.drawn(Watering(), "fr")}
    assert {name: each.kind for name, each in fields.items()} == {
        "about_plants": "number",
        "about_room": "one",
        "about_tools": "some",
        "about_key_inside": "yes",
        "about_last_on": "day",
    }
    assert fields["about_plants"].label == "Combien de plantes ?"
    assert fields["about_room"].label == "Room"
    assert [each[:2] for each in fields["about_tools"].choices] == [("can", "Arrosoir"), ("hose", "hose")]
    assert order_fields.defaults(list(fields.values())) == {"about_room": ("kitchen",), "about_tools": ()}


def test_what_was_answered_is_taken_and_what_is_wrong_is_named() -> None:
    fields = order_fields.drawn(Watering(), "en")
    form = filled(plants="3", room="balcony", tools=("can", "hose"), key_inside="yes", last_on="22/11/2026")
    order = order_fields.taken(Watering(), fields, form)
    assert order is not None
    details = {"plants": 3, "room": "balcony", "tools": ["can", "hose"], "key_inside": True, "last_on": "2026-11-22"}
    assert order.members() == {"details": details}
    wrong = filled(plants="99", room="attic", tools=("axe",), last_on=date.max.isoformat())
    assert order_fields.taken(Watering(), fields, wrong) is None
    assert wrong.faults.keys() == {"about_plants", "about_room", "about_tools", "about_last_on"}


def test_a_service_without_a_model_has_no_fields_of_its_own() -> None:
    assert order_fields.drawn(Keys(), "fr") == []
    assert order_fields.taken(Keys(), [], Form()) is None


def test_every_field_of_every_service_has_its_words_in_both_languages() -> None:
    with_fields = set()
    for handler in discover().handlers.values():
        french, english = order_fields.drawn(handler, "fr"), order_fields.drawn(handler, "en")
        with_fields |= {handler.name} if french else set()
        for fr, en in zip(french, english, strict=True):
            assert fr.label != en.label, fr.name
            assert all(one[1] != two[1] for one, two in zip(fr.choices, en.choices, strict=True)), fr.name
    assert with_fields >= {"home_visit", "medication"}
