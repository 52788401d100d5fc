"""Where a phone has no network: minutes in a town, hours in the country. Pure."""

from collections.abc import Sequence

from fieldsvc.simulate.ids import seeded

Zone = tuple[float, float]  # from, until, in unix seconds


def dead_zones(*, seed: int, device: str, start_at: float, span_s: float, rural: bool = False) -> list[Zone]:
    """Return the stretches without network as (from, until), in order, within the span.

    Minutes mostly, now and then hours; on a rural round there are more of both.
    """
    rng = seeded("dead zone", seed, device)
    count, hours_rate = (rng.choice((2, 3, 4, 5)), 0.25) if rural else (rng.choice((0, 1, 2, 3)), 0.1)
    starts = sorted(rng.uniform(0, span_s) for _ in range(count))
    zones = [
        (
            start_at + s,
            start_at + s + (rng.uniform(3600, 7200) if rng.random() < hours_rate else rng.uniform(120, 1500)),
        )
        for s in starts
    ]
    return merged([(begin, min(until, start_at + span_s)) for begin, until in zones])


def merged(zones: Sequence[Zone]) -> list[Zone]:
    """Join zones that touch, in order."""
    found: list[Zone] = []
    for begin, until in sorted(zones):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(until, found[-1][1]))
        else:
            found.append((begin, until))
    return found


def back_online_at(zones: Sequence[Zone], now: float) -> float:
    """Return when the network is there: now, or the end of the dead zone around it."""
    return next((until for begin, until in zones if begin <= now < until), now)
