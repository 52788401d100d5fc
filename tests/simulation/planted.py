"""Bugs planted on purpose, one at a time, each a small edit of the product's own source: the simulation has to find every one.

An edit that no longer applies is an error, so that the list keeps up with the code.
"""

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from fieldsvc.journal import batch, harvest, receipts, timers, writer
from fieldsvc.publishing import breaker, lane, progress, webhooks
from handlers import changes


@dataclass(frozen=True)
class Bug:
    """One bug: where it is planted (`owner.name`), the text that it replaces, and the part whose schedules have to find it."""

    title: str
    part: str
    owner: Any
    name: str
    text: str
    instead: str


BUGS = (
    Bug("it is acknowledged before it is committed", "journal", writer.Writer, "_end",
        'await connection.execute("commit")', 'self._later = asyncio.ensure_future(connection.execute("commit"))'),
    Bug("a commit of unknown outcome is taken for done", "journal", writer.Writer, "_transaction",
        "if not await self._happened(batch):", "if False:"),
    Bug("a commit that no standby has is acknowledged", "journal", writer.Writer, "_end", "if self._warned:", "if False:"),
    Bug("a request wakes nobody", "journal", writer.Writer, "submit", "self._work.set()", "pass"),
    Bug("how far a subject had counted is not saved", "journal", harvest.Harvest, "insert", "if self._moved:", "if False:"),
    Bug("only the first shard is locked", "journal", batch.Batch, "_lock",
        'connection.fetch(query("shard.lock"), shards)', 'connection.fetch(query("shard.lock"), shards[:1])'),
    Bug("what is known is stored again", "journal", batch.Batch, "_drop_duplicates", "if event.id not in fresh_ids:", "if False:"),
    Bug("two copies in a batch are both taken", "journal", batch.Batch, "_drop_duplicates",
        "elif first[event.id] is not event:", "elif False:"),
    Bug("a timer fires that was replaced", "journal", batch.Batch, "_drop_duplicates", "elif event.timer in gone:", "elif False:"),
    Bug("a timer that fired stays", "journal", harvest.Harvest, "_save_timers", "if self.fired:", "if False:"),
    Bug("a timer fires early", "journal", timers.Timers, "fire",
        'query("timer.due"), now,', 'query("timer.due"), now.replace(year=now.year + 1),'),
    Bug("a command to another subject is lost", "journal", batch.Batch, "_take", "for command in decision.commands:", "for command in ():"),
    Bug("two receipts have one number", "journal", receipts, "issue_all", "ends[sent.device] = (receipt.no, receipt.digest)", "pass"),
    Bug("the cursor goes before the answer came", "publishing", progress.Progress, "_settle",
        "track.entries and track.entries[0].done", "track.entries"),
    Bug("two probes at once", "publishing", lane.Lane, "_next", " if not running else None", ""),
    Bug("a parked subject is overtaken", "publishing", progress.Progress, "add", "if parked is not None:", "if False:"),
    Bug("what waits behind a parked subject is forgotten", "publishing", progress.Progress, "_defer",
        "self._deferred.append((entry.subject, entry.shard, entry.position))", "pass"),
    Bug("an error is taken for a yes", "publishing", webhooks.Outcome, "ok", "< _REDIRECT", "< 600"),
    Bug("a request begins although the breaker opened", "publishing", lane.Lane, "_may_begin",
        "return is_time and", "return True or"),
    Bug("what the receiver asked to wait is not waited", "publishing", breaker.Breaker, "may_send",
        "if self.held_until is not None and now < self.held_until:", "if False:"),
    Bug("what could not be saved is forgotten", "publishing", lane.Lane, "collect", "if self.unsaved is None and ", "if "),
    Bug("a dead letter is not recorded", "publishing", progress.Progress, "give_up", "if head is not None:", "if False:"),
    Bug("the breaker asks again at once", "breakers", breaker.Breaker, "_wait", "now + timedelta(seconds=open_s)", "now"),
    Bug("the breaker closes at the first success", "breakers", breaker.Breaker, "succeeded",
        "if self._successes < self.limits.successes:", "if False:"),
    Bug("the breaker does not wait longer", "breakers", breaker.Breaker, "failed", "self.step += 1", "pass"),
    Bug("refused connections do not open the breaker", "breakers", breaker.Breaker, "failed",
        "self._unreachable >= self.limits.unreachable or ", ""),
    Bug("the cooling-off is skipped", "redirects", changes._Walk, "_advance",
        "products.after_working_days(now, COOLING_DAYS)", "now"),
    Bug("a no counts less than a yes", "redirects", changes._Walk, "_hear",
        'if answer == "no":', 'if answer == "no" and not change.confirmed_by:'),
    Bug("in doubt one proof is enough", "redirects", changes, "_is_proven", "(2 if change.high_risk else 1)", "1"),
    Bug("any code will do", "redirects", changes._Walk, "_prove", "change.code_ok or typed == change.code", "True"),
    Bug("the phone's clock counts", "redirects", changes, "moment_of", "return arrived", "return at"),
)  # fmt: skip

# In the phone's own modules: title, module, the text that is replaced, the text instead.
PHONE_BUGS = (
    ("what got no answer is deleted", "sending.js", "stores.outbox.put(waitingAgain(entry, said?.reason ?? null, null))", "stores.outbox.delete(seq)"),
    ("an event overtakes its own subject", "batches.js", "(subject && behind.has(subject))", "false"),
    ("what an answer leaves out is taken for accepted", "batches.js",
     "(inPlace && results[n]?.id === null ? results[n] : null)", '({ id: entry.id, status: "accepted" })'),
    ("the newest leaves first", "sending.js", "one.seq - other.seq", "other.seq - one.seq"),
    ("what left already is undone", "outbox.js", 'entry?.state === "held"', "entry"),
    ("another store is not told what it lost", "keeping.js", 'stores.outbox.put({ ...entry, state: "waiting", again: true', "({ ...entry"),
    ("what is held leaves at once", "batches.js", '(entry.state === "held" && entry.due_at > now) ||', ""),
)  # fmt: skip


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Have a bug in the product for a while."""
    found = inspect.getattr_static(bug.owner, bug.name)
    function = found.fget if isinstance(found, property) else found
    source = textwrap.dedent(inspect.getsource(function))
    assert bug.text in source, f"{bug.name} no longer says: {bug.text}"
    source = source.replace(bug.text, bug.instead)
    made: dict[str, Any] = {}
    exec(compile(source, f"<{bug.title}>", "exec"), sys.modules[function.__module__].__dict__, made)
    with mock.patch.object(bug.owner, bug.name, made[bug.name]):
        yield
