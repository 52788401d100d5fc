"""Conditions of planned work."""

from fieldsvc.errors import Conflict, Invalid, NotFound, UserMistake


class NoRunToday(NotFound):
    """No run is planned for this device today."""

    code = "no_run_today"


class UnknownService(Invalid):
    """No service takes such tasks."""

    code = "unknown_service"


class BadTask(Invalid):
    """The task is not valid."""

    code = "bad_task"


class SubjectRequired(Invalid):
    """This service does not issue ids: the task must name its subject."""

    code = "subject_required"


class SandboxSubject(Invalid):
    """The id of a sandbox's thing begins with SBX-; leave the subject out, and one is issued."""

    code = "sandbox_subject"


class PlaceRequired(Invalid):
    """The task must say where: a delivery point or an address."""

    code = "place_required"


class TaskSeen(Conflict):
    """The carrier has seen this task; it can no longer be changed here."""

    code = "task_seen"


class TaskClosed(Conflict):
    """This task is closed."""

    code = "task_closed"


class BadKey(Invalid):
    """An Idempotency-Key is 1 to 255 printable characters."""

    code = "bad_idempotency_key"


class KeyReused(Invalid):
    """This Idempotency-Key was used with another body."""

    code = "idempotency_key_reused"


class KeyInUse(Conflict):
    """A request with this Idempotency-Key is being answered; send it again."""

    code = "idempotency_key_in_use"


class BadRoster(Invalid):
    """The roster is not valid."""

    code = "bad_roster"


class BadMove(Invalid):
    """This move is not valid."""

    code = "bad_move"


class RunOver(Conflict):
    """This run is over, or it is none of today or tomorrow."""

    code = "run_over"


class CarrierAway(Conflict):
    """This carrier is away on that day."""

    code = "carrier_away"


class NothingToMove(Conflict):
    """None of this is open work of the run."""

    code = "nothing_to_move"


class BadImport(UserMistake):
    """The file cannot be imported."""

    code = "bad_file"
