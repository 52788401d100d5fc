"""What can be wrong with a picture, or with how it is sent."""

from fieldsvc.errors import BadRequest, Conflict, FieldsvcError, Invalid


class BadName(BadRequest):
    """A picture is named by its SHA-256: 64 hexadecimal digits, lower case."""

    code = "bad_name"


class BadRange(FieldsvcError):
    """The range is none, or not one of this body."""

    code = "bad_range"
    status = 416


class HashMismatch(Invalid):
    """These bytes have another SHA-256 than their name says. Nothing of them is kept: send the whole picture again."""

    code = "hash_mismatch"


class NotAPicture(Invalid):
    """This is no sound JPEG, PNG or WebP picture."""

    code = "not_a_picture"


class TooManyPixels(Invalid):
    """The picture has more pixels than are decoded here."""

    code = "too_many_pixels"


class UploadBusy(Conflict):
    """Another request is sending this picture right now; ask again how far it is."""

    code = "upload_busy"
