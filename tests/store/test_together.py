"""Look-ups that are asked together."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from fieldsvc.store.together import AT_ONCE, MOST, Together


class Asked:
    """What was asked, question by question; each is answered when the test says so."""

    def __init__(self) -> None:
        self.questions: list[Sequence[int]] = []
        self.go_on = asyncio.Event()

    async def __call__(self, keys: Sequence[int]) -> Mapping[int, str]:
        self.questions.append(list(keys))
        await self.go_on.wait()
        if -1 in keys:
            raise OSError("away")
        return {key: f"value {key}" for key in keys if key % 2 == 0}


async def test_what_is_asked_while_a_question_is_under_way_goes_with_the_next_one() -> None:
    ask = Asked()
    together = Together(ask)
    first = [asyncio.create_task(together.get(key)) for key in (0, 2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(together.get(key % 300)) for key in range(1_000)]
    await asyncio.sleep(0)
    assert len(ask.questions) <= AT_ONCE
    ask.go_on.set()
    assert await asyncio.gather(*first) == ["value 0", "value 2"]
    assert await asyncio.gather(*rest) == [f"value {key % 300}" if key % 2 == 0 else None for key in range(1_000)]
    assert max(map(len, ask.questions)) <= MOST
    assert len(ask.questions) <= AT_ONCE + 2 + 300 // MOST, "not one for each of a thousand"
    assert await together.get(4) == "value 4", "what was answered is not kept"


async def test_a_fault_is_raised_where_it_was_asked_and_nowhere_else() -> None:
    ask = Asked()
    ask.go_on.set()
    together = Together(ask)
    with pytest.raises(OSError, match="away"):
        await together.get(-1)
    assert await together.get(2) == "value 2"


async def test_whoever_goes_away_takes_nobody_along() -> None:
    ask = Asked()
    together = Together(ask)
    gone, stays = asyncio.create_task(together.get(2)), asyncio.create_task(together.get(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    ask.go_on.set()
    assert await stays == "value 2"
    assert gone.cancelled()


async def test_who_asks_again_in_the_moment_in_which_all_questions_end_is_answered() -> None:
    ask = Asked()
    together = Together(ask)

    async def twice() -> list[str | None]:
        return [await together.get(2), await together.get(2)]

    first = asyncio.create_task(twice())
    others = []
    for key in range(4, 2 + 2 * AT_ONCE, 2):
        await asyncio.sleep(0.01)
        others.append(asyncio.create_task(together.get(key)))
    await asyncio.sleep(0.01)
    assert len(ask.questions) == AT_ONCE
    ask.go_on.set()
    assert await asyncio.wait_for(first, 10) == ["value 2"] * 2
    assert len(await asyncio.gather(*others)) == AT_ONCE - 1
