"""What is asked of who orders, beside for whom, where and when: forms for people are drawn from these models.

A service names its model in `Handler.order`, made of plain fields: texts, days, numbers, yes or no, one or some of several
words. Each field says by `asked` what a form calls it and its words. A service without a model is ordered all the same.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from handlers.fields import Day

Titled = tuple[str, str]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9 .()-]{6,20}$")]
Name = Annotated[str, StringConstraints(max_length=100)]
Question = Literal["feels_well", "has_eaten", "good_spirits", "needs_something", "home_in_order", "something_worries"]
QUESTIONS: Mapping[str, Titled] = {
    "feels_well": ("La personne se sent-elle bien ?", "Does the person feel well?"),
    "has_eaten": ("A-t-elle mangé aujourd'hui ?", "Has the person eaten today?"),
    "good_spirits": ("A-t-elle le moral ?", "Is the person in good spirits?"),
    "needs_something": ("A-t-elle besoin de quelque chose ?", "Does the person need anything?"),
    "home_in_order": ("Tout va bien dans le logement ?", "Is all well in the home?"),
    "something_worries": ("Quelque chose inquiète le facteur ?", "Does anything worry the carrier?"),
}


def asked(fr: str, en: str, *, hint: Titled | None = None, words: Mapping[str, Titled] | None = None) -> dict[str, Any]:
    """Say what a form calls a field, its hint, and the words of its values, in both languages."""
    named = {value: dict(zip(("fr", "en"), each, strict=True)) for value, each in (words or {}).items()}
    hinted = {"hints": dict(zip(("fr", "en"), hint, strict=True))} if hint else {}
    return {"titles": {"fr": fr, "en": en}, **hinted, **({"words": named} if named else {})}


class Order(BaseModel):
    """What one order says of its service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def members(self) -> dict[str, Any]:
        """Return the members of the task's body that this makes."""
        details = self.model_dump(mode="json", exclude_none=True)
        return {"details": details} if details else {}


class PouchOrder(Order):
    """One sealed pouch: who may have it, and how the carrier knows."""

    may_receive: list[Literal["patient", "named_relative", "named_carer"]] = Field(
        ["patient"],
        min_length=1,
        json_schema_extra=asked(
            "Qui peut recevoir la pochette ?",
            "Who may receive the pouch?",
            words={
                "patient": ("Le patient lui-même", "The patient"),
                "named_relative": ("Un proche nommé ci-dessous", "A relative named below"),
                "named_carer": ("Un aidant nommé ci-dessous", "A carer named below"),
            },
        ),
    )
    named: Name | None = Field(
        None,
        json_schema_extra=asked(
            "Nom du proche ou de l'aidant",
            "Name of the relative or carer",
            hint=("Seulement si vous l'avez coché.", "Only if you ticked one."),
        ),
        validate_default=True,
    )
    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,10}$")] | None = Field(
        None,
        json_schema_extra=asked(
            "Code que la personne dira au facteur",
            "Code that the person will tell the carrier",
            hint=(
                "De 4 à 10 chiffres. Donnez-le-lui vous-même : il n'est pas sur l'étiquette.",
                "4 to 10 digits. Tell it to them yourself: it is not on the label.",
            ),
        ),
    )
    fridge: bool = Field(
        False,
        json_schema_extra=asked(
            "À garder au frais, de 2 à 8 °C",
            "Keep cool, 2 to 8 °C",
            hint=(
                "Le facteur ne la prend que dans une boîte isotherme.",
                "The carrier takes it in a cold box only.",
            ),
        ),
    )
    pharmacy: Phone | None = Field(
        None,
        json_schema_extra=asked(
            "Votre numéro si la pochette revient après la fermeture",
            "Your number if the pouch comes back after closing time",
        ),
    )

    @field_validator("named")
    @classmethod
    def _whoever_is_named_has_a_name(cls, named: str | None, about: ValidationInfo) -> str | None:
        others = set(about.data.get("may_receive", ())) - {"patient"}
        if others and not named:
            raise ValueError("somebody else may receive it, and is not named")
        return named

    def members(self) -> dict[str, Any]:
        """Ask the carrier to look at the seal and the label; the pharmacy is who is called when the pouch comes back."""
        needs = ["seal", "label", *(["code"] if self.code else []), *(["fridge"] if self.fridge else [])]
        details: dict[str, Any] = {"may_receive": list(self.may_receive)}
        details |= {"code": self.code} if self.code else {}
        details |= {"pharmacy": {"mobile": self.pharmacy}} if self.pharmacy else {}
        mandates = {"mandates": [{"name": self.named}]} if self.named else {}
        return {"requirements": needs, "details": details, **mandates}


class VisitOrder(Order):
    """A visit: what for, what is asked, and what the visited person lets her family know."""

    kind: Literal["wellbeing", "installation", "assessment", "lesson", "other"] = Field(
        "wellbeing",
        json_schema_extra=asked(
            "Pour quelle visite ?",
            "Which visit is it?",
            words={
                "wellbeing": ("Prendre des nouvelles", "See how the person is"),
                "installation": ("Installer un appareil", "Set something up"),
                "assessment": ("Faire le point sur le logement", "Look at the home"),
                "lesson": ("Expliquer, montrer", "Explain and show"),
                "other": ("Autre", "Other"),
            },
        ),
    )
    questions: list[Question] = Field(
        ["feels_well", "has_eaten", "needs_something"],
        json_schema_extra=asked("Que demande le facteur ?", "What does the carrier ask?", words=QUESTIONS),
    )
    consent_on: Day | None = Field(
        None,
        json_schema_extra=asked(
            "Jour où la personne visitée a donné son accord",
            "Day on which the visited person agreed",
            hint=(
                "Sans son accord, vous saurez que la visite a eu lieu, et rien de ses réponses.",
                "Without it you learn that the visit took place, and none of the answers.",
            ),
        ),
    )
    told: list[Question] = Field(
        [],
        json_schema_extra=asked(
            "Réponses que la personne visitée accepte de vous faire connaître",
            "Answers that the visited person lets you know",
            hint=("Elle peut changer d'avis à tout moment.", "They may change their mind at any time."),
            words=QUESTIONS,
        ),
    )

    @field_validator("told")
    @classmethod
    def _told_as_she_agreed(cls, told: list[str], about: ValidationInfo) -> list[str]:
        if told and not about.data.get("consent_on"):
            raise ValueError("there is no day on which she agreed")
        return told

    def members(self) -> dict[str, Any]:
        """Write the form that the carrier fills in, and the consent with its day."""
        consent = {"consent": {"given_on": self.consent_on, "answers": list(self.told)}} if self.consent_on else {}
        form = {"form": {"id": "visit", "version": 1, "questions": dict.fromkeys(self.questions, "boolean")}}
        return {
            "requirements": ["presence"],
            "details": {"kind": self.kind, **consent},
            **(form if self.questions else {}),
        }
