"""Which sites somebody sees. `fieldsvc/access/rights.py` decides it for each caller; rooms only ask `site in sites`."""

from dataclasses import dataclass

from fieldsvc.errors import NotFound


@dataclass(frozen=True, slots=True)
class Sites:
    """One site, every site, or none; what belongs to no site is seen only by those who see every site."""

    one: str | None = None
    every: bool = False

    def __contains__(self, site: str | None) -> bool:
        return self.every or (self.one is not None and site == self.one)

    def narrowed(self, asked: str | None) -> str | None:
        """Return the site to list, None = every site. NotFound for one that they do not see."""
        if self.every:
            return asked
        if self.one is None or asked not in (None, self.one):
            raise NotFound
        return self.one


NOWHERE, EVERYWHERE = Sites(), Sites(every=True)
