"""Look-ups by one key, asked for many keys at once: what is asked for while a question is under way goes with the next one.

An upload that nobody has heard of for a minute needs its phone, its round, its tasks. One by one each of them is a round trip;
with a thousand uploads a second they are most of what the database and this process do.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
MOST, AT_ONCE = 200, 2


class Few:
    """A few tasks that take what waits, until nothing does: whoever adds something calls `begin`."""

    def __init__(self, drain: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._drain = drain
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """See to it that what waits is taken."""
        if sum(not task.done() for task in self._tasks) < AT_ONCE:  # one that has ended takes nothing more
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


class Together(Generic[Key, Value]):
    """Asks for keys together. `ask` returns what it finds; what is missing there is None."""

    def __init__(self, ask: Callable[[Sequence[Key]], Awaitable[Mapping[Key, Value]]]) -> None:
        self._ask = ask
        self._waiting: defaultdict[Key, list[asyncio.Future[Value | None]]] = defaultdict(list)
        self._asking = Few(self._drain)

    async def get(self, key: Key) -> Value | None:
        """Look one key up, as of now or later; what `ask` raises."""
        found: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()
        self._waiting[key].append(found)
        self._asking.begin()
        return await found

    async def _drain(self) -> None:
        while self._waiting:
            keys = [key for key, _ in zip(self._waiting, range(MOST), strict=False)]
            asked = [(key, found) for key in keys for found in self._waiting.pop(key)]
            try:
                answer = await self._ask(keys)
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked
                for _key, found in asked:
                    if not found.done():
                        found.set_exception(error)
            except BaseException:
                for _key, found in asked:
                    found.cancel()
                raise
            else:
                for key, found in asked:
                    if not found.done():
                        found.set_result(answer.get(key))
