"""Credentials, and what is signed with them.

Decided here: where a key and its secret come from, and how a request of V2 and a log-in of the simple dialect are
signed. Signing is a pure function of its arguments: no clock, no random numbers. Not decided here: which moment a
request is signed for, and where it may travel. Source: docs/reference/wire.md, "Signature".

A secret stays inside its `Credentials`: it is in no repr, no text, no pickle, and not in `vars()`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5, sha256
from typing import TYPE_CHECKING, NoReturn

from lbank_ws.environment import check_keeper, environment
from lbank_ws.errors import MissingExtra, UsageError
from lbank_ws.quoting import quoted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

API_KEY = "LBANK_API_KEY"
API_SECRET = "LBANK_API_SECRET"  # noqa: S105 - the name of a variable
API_SECRET_FILE = "LBANK_API_SECRET_FILE"  # noqa: S105 - as above
SIGNATURE_METHOD = "LBANK_SIGNATURE_METHOD"

HMAC = "HmacSHA256"
RSA = "RSA"
METHODS = (HMAC, RSA)

MASK = "***"
_SHOWN = 4  # characters of a key that may be seen
_NONCE_LENGTH = 36  # the exchange takes 30 to 40 letters and digits
_NONCE_LETTERS = string.ascii_letters + string.digits
_LOG_IN = "GET/users/self/verify"  # method, path and an empty body
_LONGEST_SECRET = 16 * 1024
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class Credentials:
    """An API key and its secret; the repr shows the key's last four characters alone.

    Args:
        key: The API key.
        secret: For `HmacSHA256` the secret key; for `RSA` the private key, as PEM or as the base64 of its PKCS#8 DER.
        method: `HmacSHA256` or `RSA`; the latter needs the extra `rsa`.

    Raises:
        UsageError: One of them cannot be one.
        MissingExtra: The method is RSA and the package cryptography is not installed.
    """

    __slots__ = ("_rsa", "_secret", "key", "method")

    def __init__(self, key: str, secret: str, method: str = HMAC) -> None:
        if method not in METHODS:
            raise UsageError(f"a signature method is one of {', '.join(METHODS)}, not {quoted(repr(method))}")
        self.key = _checked(key, "the API key")
        self.method = method
        self._rsa: RSAPrivateKey | None = None
        self._secret = secret if method == RSA else _checked(secret, "the API secret")
        if method == RSA:
            self._rsa = _private_key(secret)

    @classmethod
    def from_env(cls, variables: Mapping[str, str] | None = None) -> Credentials:
        """Read `LBANK_API_KEY`, `LBANK_API_SECRET` or `LBANK_API_SECRET_FILE`, and `LBANK_SIGNATURE_METHOD`.

        Args:
            variables: Where they stand; when None the environment and `./.env`, and the environment wins.

        Raises:
            UsageError: One is missing or cannot be used, or the file that holds the secret is not safe.
            MissingExtra: The method is RSA and the package cryptography is not installed.
        """
        if variables is None:
            variables = environment((API_KEY, API_SECRET))
        key, secret, file = (variables.get(name, "") for name in (API_KEY, API_SECRET, API_SECRET_FILE))
        if secret and file:
            raise UsageError(f"both {API_SECRET} and {API_SECRET_FILE} are set; keep one of them")
        missing = [
            name
            for name, text in ((API_KEY, key), (f"{API_SECRET} (or {API_SECRET_FILE})", secret or file))
            if not text
        ]
        if missing:
            raise UsageError(
                f"no credentials: set {' and '.join(missing)} in the environment or in ./.env, see .env.example"
            )
        return cls(key, secret or _from_file(file), variables.get(SIGNATURE_METHOD) or HMAC)

    @property
    def known(self) -> frozenset[str]:
        """What must not be seen anywhere: the key and the secret."""
        return frozenset((self.key, self._secret))

    @property
    def fingerprint(self) -> str:
        """What tells one key from another, and nothing about it."""
        return sha256(f"lbank_ws {self.key}".encode()).hexdigest()[:12]

    def sign(self, parameters: Mapping[str, str]) -> str:
        """Give the signature of everything that a request of V2 says, those of its headers too."""
        if self._rsa is None:
            return signature(parameters, self._secret)
        return _rsa_signature(parameters, self._rsa)

    def log_in(self, timestamp_ms: int) -> tuple[str, str, str]:
        """Give what a log-in of the simple dialect says: key, timestamp, signature.

        Raises:
            UsageError: The method is RSA; the published guide knows none for a log-in.
        """
        if self._rsa is not None:
            raise UsageError(f"the simple dialect logs in with {HMAC}; make such a key, or use V2")
        timestamp = str(timestamp_ms)
        return self.key, timestamp, log_in_signature(timestamp, self._secret)

    def __repr__(self) -> str:
        return f"Credentials(key={masked_key(self.key)}, method={self.method})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not copied or pickled: read them where they are needed")


@dataclass(frozen=True, repr=False)
class SignedRequest:
    """A request as it is sent; its repr shows neither key nor signature.

    Attributes:
        body: The parameters of the form, with `api_key` and `sign`.
        headers: `timestamp`, `signature_method` and `echostr`.
    """

    body: Mapping[str, str]
    headers: Mapping[str, str]

    def masked(self) -> dict[str, str]:
        """Give the parameters of the body fit for eyes."""
        shown = {**self.body, "api_key": masked_key(self.body.get("api_key", ""))}
        return {name: MASK if name in _SECRET_PARAMETERS else text for name, text in shown.items()}

    def __repr__(self) -> str:
        return f"SignedRequest({self.masked()})"


_SECRET_PARAMETERS = ("sign", "subscribeKey")


def signed_request(
    parameters: Mapping[str, str], credentials: Credentials, timestamp_ms: int, nonce: str
) -> SignedRequest:
    """Sign a request of V2's REST interface.

    Args:
        parameters: What is asked.
        credentials: Who asks.
        timestamp_ms: When, on the exchange's clock, in epoch milliseconds.
        nonce: 30 to 40 letters and digits, another one each time; `new_nonce` makes one.
    """
    headers = {"timestamp": str(timestamp_ms), "signature_method": credentials.method, "echostr": nonce}
    body = {**parameters, "api_key": credentials.key}
    return SignedRequest({**body, "sign": credentials.sign({**body, **headers})}, headers)


def joined(parameters: Mapping[str, str]) -> str:
    """Give the text that is signed: all parameters but `sign`, sorted by name, joined with raw values."""
    return "&".join(f"{name}={parameters[name]}" for name in sorted(parameters) if name != "sign")


def digest(parameters: Mapping[str, str]) -> str:
    """Give what a signature is made over: the MD5 of the joined text, in upper-case hex."""
    return md5(joined(parameters).encode(), usedforsecurity=False).hexdigest().upper()


def signature(parameters: Mapping[str, str], secret: str) -> str:
    """Give the HmacSHA256 signature of a request of V2, in lower-case hex."""
    return hmac.new(secret.encode(), digest(parameters).encode(), sha256).hexdigest()


def log_in_signature(timestamp: str, secret: str) -> str:
    """Give the signature of the simple dialect's log-in, in lower-case hex.

    Source: docs/reference/wire.md, "The simple dialect".
    """
    return hmac.new(secret.encode(), f"{timestamp}{_LOG_IN}".encode(), sha256).hexdigest()


def new_nonce() -> str:
    """Make an `echostr`: letters and digits that nobody can foresee."""
    return "".join(secrets.choice(_NONCE_LETTERS) for _ in range(_NONCE_LENGTH))


def masked_key(key: str) -> str:
    """Give the last four characters of a key; nothing of one that is short."""
    return f"{MASK}{key[-_SHOWN:]}" if len(key) > 2 * _SHOWN else MASK


def _checked(text: str, name: str) -> str:
    if not isinstance(text, str) or not text:
        raise UsageError(f"{name} is empty")
    if not _PRINTABLE.fullmatch(text):
        raise UsageError(f"{name} has a blank, a line break or a character that is not ASCII in it; copy it once more")
    return text


def _from_file(path: str) -> str:
    """Read a secret that is alone in its file; the line break at the end of the file is not part of it."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    try:
        with open(os.open(path, flags), encoding="utf-8", newline="") as file:
            check_keeper(path, os.fstat(file.fileno()))
            text = file.read(_LONGEST_SECRET)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(f"{API_SECRET_FILE} names {quoted(path)}, which cannot be read: {reason}") from None
    return text.removesuffix("\n").removesuffix("\r")


def _private_key(secret: str) -> RSAPrivateKey:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
    except ImportError:
        raise MissingExtra("cryptography", "rsa") from None
    body = "".join(line.strip() for line in secret.strip().splitlines() if not line.startswith("-----"))
    try:
        key = serialization.load_der_private_key(base64.b64decode(body, validate=True), password=None)
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        key = None  # the cause may quote the key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UsageError("an RSA secret is a private key, as PEM or as the base64 of its PKCS#8 DER; this is none")
    return key


def _rsa_signature(parameters: Mapping[str, str], key: RSAPrivateKey) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return base64.b64encode(key.sign(digest(parameters).encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
