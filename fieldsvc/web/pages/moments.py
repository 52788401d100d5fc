"""Days and times in words, as people of the language write them; with hard spaces, so that none breaks over a line."""

from datetime import date, datetime, tzinfo

_HARD = "\u00a0"
_DAYS = {
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche".split(),
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
}
_MONTHS = {
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
    "en": "January February March April May June July August September October November December".split(),
}


def day_words(day: date, lang: str) -> str:
    """Write a day: `lundi 23 novembre`, `mardi 1er décembre`, `Monday 23 November`."""
    number = "1er" if lang == "fr" and day.day == 1 else str(day.day)
    return f"{_DAYS[lang][day.weekday()]} {number}{_HARD}{_MONTHS[lang][day.month - 1]}"


def hour_words(at: datetime, zone: tzinfo, lang: str) -> str:
    """Write a local time: `9 h 05`, `09:05`."""
    local = at.astimezone(zone)
    return f"{local.hour}{_HARD}h{_HARD}{local.minute:02d}" if lang == "fr" else f"{local:%H:%M}"


def moment_words(at: datetime, zone: tzinfo, lang: str) -> str:
    """Write a local day and time: `lundi 23 novembre à 9 h 05`, `Monday 23 November at 09:05`."""
    between = "à" if lang == "fr" else "at"
    return f"{day_words(at.astimezone(zone).date(), lang)} {between} {hour_words(at, zone, lang)}"
