"""The log of attempts as a dispatcher and the replays keep it: a line each, and the records in batches, apart from what must be saved."""

from http import HTTPStatus

from fieldsvc.logs import get_logger
from fieldsvc.publishing.repeats import Repeats
from fieldsvc.store import attempts
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.database import Database
from fieldsvc.store.lanes import STORE_FAULTS

KEPT_BACK = 10_000


class AttemptLog:
    """Takes note of attempts and writes them when told to; what the database did not take waits, up to 10,000 of them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = get_logger().bind()
        self._repeats = Repeats()
        self._waiting: list[Attempt] = []

    def note(self, attempt: Attempt) -> None:
        """Say that an attempt was made, and keep it."""
        say = (
            self._log.info if attempt.error or (attempt.status or 0) >= HTTPStatus.MULTIPLE_CHOICES else self._log.debug
        )
        say(
            "webhook.attempted",
            endpoint=attempt.endpoint, evt_id=attempt.event_id, attempt=attempt.n,
            status=attempt.status, ms=attempt.ms, error=attempt.error, **({"replay": attempt.replay} if attempt.replay else {}),
        )  # fmt: skip
        kept = self._repeats.kept(attempt)
        if kept is not None and len(self._waiting) < KEPT_BACK:
            self._waiting.append(kept)

    async def write(self) -> None:
        """Write what waits."""
        if not self._waiting:
            return
        written, self._waiting = self._waiting, []
        try:
            await attempts.add(self._database, written)
        except STORE_FAULTS:
            self._waiting = (written + self._waiting)[:KEPT_BACK]
            raise
