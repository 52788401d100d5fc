"""Conditions of access."""

from fieldsvc.errors import Forbidden, TooMany, Unauthorized


class BadCode(Unauthorized):
    """This code is not valid: it is wrong, used, or too old."""

    code = "bad_code"


class TooManyTries(TooMany):
    """Too many wrong codes from here; try again later."""

    code = "too_many_tries"


class BadCsrf(Forbidden):
    """The request does not carry the token of this session."""

    code = "csrf"
