"""The one error tree. An error is a condition; its docstring is the sentence that a person reads."""

from collections.abc import Mapping


class FieldsvcError(Exception):
    """Something went wrong."""

    code = "error"
    status = 500

    def __init__(self, detail: str | None = None, **extra: object) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip()
        self.extra: Mapping[str, object] = extra
        super().__init__(self.detail)


class UserMistake(FieldsvcError):
    """The command was called wrongly."""

    code = "usage"
    status = 400


class BadRequest(FieldsvcError):
    """The request cannot be understood."""

    code = "bad_request"
    status = 400


class NotJson(BadRequest):
    """The body is no JSON in which an event could be told apart."""

    code = "not_json"


class Unauthorized(FieldsvcError):
    """Credentials are missing or not valid."""

    code = "unauthorized"
    status = 401


class Revoked(FieldsvcError):
    """These credentials were revoked."""

    code = "revoked"
    status = 403


class Forbidden(FieldsvcError):
    """These credentials do not allow this."""

    code = "forbidden"
    status = 403


class NotFound(FieldsvcError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class TooSlow(FieldsvcError, TimeoutError):
    """The body came too slowly; send the whole request again."""

    code = "too_slow"
    status = 408


class Conflict(FieldsvcError):
    """This contradicts what is already there."""

    code = "conflict"
    status = 409


class Gone(FieldsvcError):
    """This is no longer kept."""

    code = "gone"
    status = 410


class TooLarge(FieldsvcError):
    """The body is larger than allowed."""

    code = "too_large"
    status = 413


class UnsupportedMedia(FieldsvcError):
    """This media type is not taken here."""

    code = "unsupported_media_type"
    status = 415


class Invalid(FieldsvcError):
    """The content is well formed but not valid."""

    code = "invalid"
    status = 422


class TooMany(FieldsvcError):
    """Too much at once; send the whole request again later."""

    code = "too_many_requests"
    status = 429


class Unavailable(FieldsvcError):
    """Not possible right now; send the whole request again later."""

    code = "unavailable"
    status = 503
