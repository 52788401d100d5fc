"""The real identity provider in its own process, and a service that knows it by its settings."""

import json
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fieldsvc.simulate import provider
from tests.acceptance.service import Service
from tests.acceptance.visitor import Page, Visitor

PUBLIC = "http://service.test"


@dataclass
class Identity:
    """The provider: what it told when it started."""

    process: subprocess.Popen[str]
    issuer: str
    client_id: str
    client_secret: str

    def new_keys(self) -> None:
        """Have it forget its keys and make new ones."""
        self.process.send_signal(signal.SIGUSR1)


@contextmanager
def identity_provider() -> Iterator[Identity]:
    """Start the provider; it ends with this block, or with this process."""
    words = [sys.executable, "-W", "ignore", "-m", "fieldsvc.simulate.provider", "--service", PUBLIC, "--wait"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = Identity(process, **json.loads(process.stdout.readline()))
        with urllib.request.urlopen(f"{found.issuer}/.well-known/openid-configuration", timeout=60) as answer:
            assert answer.status == 200
        yield found
    finally:
        process.kill()
        process.communicate()


def settings_of(identity: Identity) -> dict[str, Any]:
    """What an operator sets to sign customers and staff in with it, and by code."""
    return {
        "public_url": PUBLIC,
        "oidc_issuer": identity.issuer,
        "oidc_client_id": identity.client_id,
        "oidc_client_secret": identity.client_secret,
        "staff_oidc_issuer": identity.issuer,
        "staff_oidc_client_id": identity.client_id,
        "staff_oidc_client_secret": identity.client_secret,
        "staff_oidc_roles": "encadrement=supervisor@pantin,direction=operator",
    }


def here(service: Service, url: str) -> str:
    """Turn the public address into the one that this test reaches."""
    return url.replace(PUBLIC, service.url, 1)


def at_the_provider(visitor: Visitor, start: str, name: str) -> str:
    """Follow a link to the provider and sign in there; return the address that it leads back to, unasked."""
    page = visitor.go(start, until=PUBLIC)
    for field, said in (("login", name), ("password", provider.password_of(name))):
        if page.to is None:
            assert f'name="{field}"' in page.text, (page.url, page.status)
            page = visitor.go(page.url, {**page.hidden, field: said}, until=f"{PUBLIC}/")
        page = _through_authorize(visitor, page)
    assert page.to is not None
    return page.to


def _through_authorize(visitor: Visitor, page: Page) -> Page:
    """Go on while it leads to the provider's own pages, whose addresses name ours."""
    while page.to is not None and not page.to.startswith(PUBLIC):
        page = visitor.ask(page.to)
    return page


def query_of(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def code_of(service: Service, email: str) -> str:
    """Read the code in the newest notice to an address, as its mail would say it."""

    async def read() -> str:
        async with service.platform.database.acquire() as connection:
            rows = await connection.fetch(
                "select sealed from notice where template = 'sign_in_code' order by queued_at desc"
            )
        opened = await service.platform.opener.open_blobs([row["sealed"] for row in rows])
        return str(next(each["params"]["code"] for each in opened if each["to"] == email))

    return service.call(read())
