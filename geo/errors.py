"""Conditions that the library reports; each docstring is the default message."""


class GeoError(Exception):
    """Something about a place could not be done."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class BadFile(GeoError):
    """The file cannot be read."""

    def __init__(self, where: str, reason: str) -> None:
        """Say where (`line 12`, `feature 3`, `file`) and why, in a sentence for the person who made the file."""
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class EmptyRound(GeoError):
    """The round has neither a line nor stops, so nothing can be placed on it."""


class ImplausibleRound(EmptyRound):
    """A vertex of the round's line, or a stop that draws it, cannot be a real place, so nothing can be placed on it."""


class UnknownStop(GeoError):
    """The stop is not on this round."""


class BadState(GeoError):
    """These bytes are not a matcher state of this version."""


class TooFewAddresses(GeoError):
    """There are fewer addresses than rounds asked for."""


class BadOnlineGeocoder(GeoError):
    """An online geocoder is ban, nominatim or photon, one of these at an address (photon@https://host), or https://host."""
