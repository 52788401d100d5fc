"""Why a delivery change does not go on."""

from fieldsvc.errors import Conflict


class NotPossible(Conflict):
    """A rule, a rival or the clock stands against it."""

    code = "refused"


class TooLate(Conflict):
    """It comes too late."""

    code = "too_late"


class RequestClosed(Conflict):
    """This request is closed."""

    code = "request_closed"


class RequestSeen(Conflict):
    """The carrier has seen this request; it can no longer be cancelled here."""

    code = "seen_by_carrier"


class WrongCode(Conflict):
    """This code is not the one of the letter."""

    code = "wrong_code"


class MessagesWait(Conflict):
    """Five messages wait for an answer already."""

    code = "messages_wait"


class NotWaiting(Conflict):
    """This request does not wait for that."""

    code = "not_waiting"
