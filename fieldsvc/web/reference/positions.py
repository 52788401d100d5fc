"""The schemas of `POST /v1/positions`."""

from fieldsvc.web.reference.bodies import INTEGER, NUMBER, TIME, array, nullable, record

_FIX = {
    **record(
        {
            "fixed_at": TIME,
            "lat": {**NUMBER, "minimum": -90, "maximum": 90},
            "lon": {**NUMBER, "minimum": -180, "maximum": 180},
        },
        {
            "accuracy_m": {**nullable(NUMBER), "description": "The 68 % radius; null or 0 = unknown."},
            "speed_mps": nullable(NUMBER),
            "heading_deg": {**nullable(NUMBER), "description": "Clockwise from north."},
            "battery": nullable(NUMBER),
        },
    ),
    "description": "Matched to the run, and forgotten: what is kept is the distance along the planned line.",
}
_OUTCOMES = {
    "taken": "Gave progress of the run.",
    "duplicate": "Of a moment that is known.",
    "late": "Older than the run's newest: gave progress, and moves nothing; older than seven days: nothing.",
    "off_duty_discarded": "Outside every run of the carrier, in a pause or a mandate, after the loss of the device, or more than "
    "five minutes in the future: not kept.",
    "thinned": "Closer than ten seconds to another one.",
    "quarantined": "No fix. Its shape is kept, not its values.",
}
FIXES = record({"fixes": {**array(_FIX), "maxItems": 1000}})
TAKEN = record({name: {**INTEGER, "description": says} for name, says in _OUTCOMES.items()})
