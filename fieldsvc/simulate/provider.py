"""A real identity provider for the demo and the tests: Canaille, from its package, with three made-up people, in memory.

`python -m fieldsvc.simulate.provider --service http://127.0.0.1:8080` starts it on a free port of this machine and prints one JSON
line at once: `{"issuer", "client_id", "client_secret"}`; who asks before it is ready waits some seconds. Each person's password is their name; no password of theirs is worth anything
elsewhere. SIGUSR1 gives it new keys and forgets the old ones, as a provider does after a mishap.
"""

import argparse
import base64
import json
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

CLIENT_ID = "fieldsvc"
PEOPLE = (
    ("claire", "Claire", "Dubois", ()),
    ("hugo", "Hugo", "Martin", ()),
    ("sophie", "Sophie", "Bernard", ("encadrement",)),
)
CALLBACKS = ("/suivi/sign-in/callback", "/staff/sign-in/callback")
_LAST = ("/suivi/sign-in", "/signed-in")


def email_of(name: str) -> str:
    """Name a made-up person's address."""
    return f"{name}@demo.invalid"


def password_of(name: str) -> str:
    """Name a made-up person's password."""
    return f"{name}-{name}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until killed, or until whoever started it is gone: then its input ends."""
    from werkzeug.serving import make_server  # noqa: PLC0415 - comes with Canaille, which only the demo and tests have

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--service", action="append", required=True, help="address of the service; may be given again")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--wait", action="store_true", help="end when the standard input ends")
    said = parser.parse_args(arguments)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request says nothing
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "true"  # loopback only
    os.chdir(os.sep)  # Canaille reads a file of settings where it is started
    server = make_server("127.0.0.1", said.port, _nothing, threaded=True)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(24)).decode()
    host = f"127.0.0.1:{server.server_port}"
    told = {"issuer": f"http://{host}", "client_id": CLIENT_ID, "client_secret": secret}
    print(json.dumps(told), flush=True)  # noqa: T201 - whoever started it reads this line, and need not wait for the rest
    app = _app(host)
    app.config["CANAILLE_OIDC"]["USERINFO_MAPPING"]["EMAIL_VERIFIED"] = "true"
    _fill(app, said.service, secret)
    server.app = app.wsgi_app
    signal.signal(
        signal.SIGUSR1, lambda *_: app.config["CANAILLE_OIDC"].update(ACTIVE_JWKS=[_key()], INACTIVE_JWKS=None)
    )
    if said.wait:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


def _app(host: str) -> Any:
    from canaille import create_app  # noqa: PLC0415
    from canaille.backends.memory.backend import MemoryBackend  # noqa: PLC0415

    MemoryBackend.do_query = _having_all(MemoryBackend.do_query)
    return create_app(
        {
            "SECRET_KEY": secrets.token_urlsafe(32),
            "SERVER_NAME": host,
            "PREFERRED_URL_SCHEME": "http",
            "SESSION_COOKIE_SECURE": False,
            "CANAILLE": {
                "NAME": "Identité Démo",
                "DATABASE": "memory",
                "JAVASCRIPT": False,
                "HTMX": False,
                "CAPTCHA_ENABLED": False,
                "SMTP": None,
                "ENABLE_PASSWORD_RECOVERY": False,
                "LANGUAGE": None,
                "LOGGING": {"version": 1, "disable_existing_loggers": True},
                "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc", "edit_self"]}},
            },
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [_key()]},
        }
    )


def _having_all(having_any: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Mend Canaille 0.3.6's search in memory, which takes what has any of the values: a code would be another browser's."""

    def found(self: Any, model: Any, *_: Any, **values: Any) -> list[Any]:
        if len(values) < 2:
            return having_any(self, model, **values)
        each = [having_any(self, model, **{name: value}) for name, value in values.items()]
        ids = set.intersection(*({one.id for one in some} for some in each))
        return [one for one in each[0] if one.id in ids]

    return found


def _fill(app: Any, services: Sequence[str], secret: str) -> None:
    from canaille.app import models  # noqa: PLC0415
    from canaille.backends import Backend  # noqa: PLC0415

    with app.app_context(), app.test_request_context():
        keep = Backend.instance.save
        groups: dict[str, list[Any]] = {}
        for name, given, family, of in PEOPLE:
            person = models.User(
                user_name=name,
                given_name=given,
                family_name=family,
                formatted_name=f"{given} {family}",
                emails=[email_of(name)],
                password=password_of(name),
            )
            keep(person)
            for group in of:
                groups.setdefault(group, []).append(person)
        for group, members in groups.items():
            keep(models.Group(display_name=group, members=members))
        client = models.Client(
            client_id=CLIENT_ID,
            client_name="La Poste de démonstration",
            client_uri="http://127.0.0.1",
            redirect_uris=[f"{service}{path}" for service in services for path in CALLBACKS],
            post_logout_redirect_uris=[f"{service}{path}" for service in services for path in _LAST],
            client_secret=secret,
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "email", "profile", "groups"],
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106 - the name of a method
        )
        keep(client)
        client.audience = [client]
        keep(client)


def _key() -> dict[str, Any]:
    from joserfc.jwk import RSAKey  # noqa: PLC0415

    key: dict[str, Any] = dict(RSAKey.generate_key(2_048, auto_kid=True).as_dict(private=True))
    return key


def _nothing(_environ: Any, start: Any) -> list[bytes]:
    start("503 Service Unavailable", [])
    return []


if __name__ == "__main__":
    main()
