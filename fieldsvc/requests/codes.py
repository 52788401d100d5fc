"""Codes and tokens of requests. Codes are random and only their keyed digest is kept; tokens are derived, so nothing is kept."""

import base64
import hashlib
import hmac
import secrets
import unicodedata

from fieldsvc.journal.sealed import Vault

_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that is read aloud or typed wrongly
_LETTERS, _REFERENCE = 9, 10  # 9 of 30 letters are 44 random bits
_CONFUSED = str.maketrans({"-": "", " ": ""})


class Codes:
    """Makes and checks what a customer holds."""

    def __init__(self, vault: Vault) -> None:
        self._key = vault.derived_key("delivery-change")

    def new_code(self) -> str:
        """Make a code for a letter, as it is written."""
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS))
        return "-".join(letters[start : start + 3] for start in range(0, _LETTERS, 3))

    def code_digest(self, request_id: str, typed: str) -> str:
        """Digest a code as it was typed; it is worth nothing for another request, and cannot be guessed without the key."""
        return self._digest("code", request_id, typed.upper().translate(_CONFUSED))

    def token(self, request_id: str) -> str:
        """Return the token with which who asked reads, confirms and cancels."""
        return f"drt_{self._token('own', request_id)}"

    def stop_token(self, request_id: str) -> str:
        """Return the token that only stops: it is on every notice."""
        return f"drs_{self._token('stop', request_id)}"

    def is_own(self, request_id: str, token: str) -> bool:
        """Tell whether a token is that of who asked."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token(request_id).encode())

    def stops(self, request_id: str, token: str) -> bool:
        """Tell whether a token may stop the request."""
        sent = token.encode("utf-8", "replace")
        return hmac.compare_digest(sent, self.stop_token(request_id).encode()) or self.is_own(request_id, token)

    def target(self, address: str) -> str:
        """Digest a new address, so that those that lead to one place are found without keeping it in the open."""
        plain = unicodedata.normalize("NFKD", address.casefold())
        return self._digest("target", "", "".join(letter for letter in plain if letter.isalnum()))

    def contact(self, way: str) -> str:
        """Digest a mail address or a number."""
        return self._digest("contact", "", way.strip().casefold())

    def reference(self, key: str | None) -> str:
        """Make a request's id: random, or the same for the same idempotency key."""
        if key is None:
            return "DC-" + "".join(secrets.choice(_ALPHABET) for _ in range(_REFERENCE))
        number = int.from_bytes(hmac.digest(self._key, f"reference\n{key}".encode(), hashlib.sha256)[:12])
        letters = ""
        for _ in range(_REFERENCE):
            number, letter = divmod(number, len(_ALPHABET))
            letters += _ALPHABET[letter]
        return f"DC-{letters}"

    def _digest(self, purpose: str, request_id: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}\n{request_id}\n{text}".encode(), hashlib.sha256).hexdigest()

    def _token(self, purpose: str, request_id: str) -> str:
        digest = hmac.digest(self._key, f"{purpose}\n{request_id}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
