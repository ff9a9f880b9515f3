"""Signatures, from the exchange's side: what a client must have computed, checked in constant time.

Pure: secrets, parameters and signatures come in as arguments, and nothing is logged. Source: docs/reference/wire.md,
"Signature"; LBank's own published example reproduces exactly.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from functools import lru_cache
from hashlib import md5, sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

HMAC = "HmacSHA256"
RSA = "RSA"
METHODS = (HMAC, RSA)

_LOG_IN = "GET/users/self/verify"  # method, path and an empty body, as the guide of the simple dialect has it


def joined(parameters: Mapping[str, str]) -> str:
    """Give the text that is signed: all parameters but `sign`, sorted by key, joined with raw values."""
    return "&".join(f"{key}={parameters[key]}" for key in sorted(parameters) if key != "sign")


def digest(parameters: Mapping[str, str]) -> str:
    """Give what goes into the signature: the MD5 of the joined text, in upper-case hex."""
    return md5(_bytes(joined(parameters)), usedforsecurity=False).hexdigest().upper()


def hmac_signature(parameters: Mapping[str, str], secret: str) -> str:
    """Give the HmacSHA256 signature of V2's REST interface, in lower-case hex."""
    return hmac.new(_bytes(secret), digest(parameters).encode(), sha256).hexdigest()


def is_signed(parameters: Mapping[str, str], signature: str, secret: str, method: str) -> bool:
    """Tell whether a signature over the parameters was made with the secret.

    Args:
        parameters: Everything that is signed: those of the body, and the three of the headers.
        signature: What the client sent as `sign`.
        secret: The account's secret; for RSA its private or public key, see `public_key`.
        method: `HmacSHA256` or `RSA`.

    Raises:
        ImportError: The method is RSA and the package cryptography is not installed.
    """
    if method == RSA:
        return _is_rsa_signed(digest(parameters), signature, secret)
    return hmac.compare_digest(hmac_signature(parameters, secret).encode(), _bytes(signature))


def log_in_signature(timestamp: str, secret: str) -> str:
    """Give the signature of the simple dialect's log-in, in lower-case hex."""
    return hmac.new(_bytes(secret), _bytes(f"{timestamp}{_LOG_IN}"), sha256).hexdigest()


def is_logged_in(timestamp: str, signature: str, secret: str) -> bool:
    """Tell whether a log-in of the simple dialect was signed with the secret."""
    return hmac.compare_digest(log_in_signature(timestamp, secret).encode(), _bytes(signature))


@lru_cache(maxsize=64)
def public_key(secret: str) -> RSAPublicKey:
    """Give the public half of an RSA key.

    Args:
        secret: A private key (PKCS#8, as LBank hands them out) or a public one (SubjectPublicKeyInfo); PEM, or the
            base64 of the DER alone.

    Raises:
        ImportError: The package cryptography is not installed.
        ValueError: It is no RSA key.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
    except ImportError as missing:
        raise ImportError("RSA signatures need the package cryptography: pip install 'lbank-ws[rsa]'") from missing
    body = "".join(line for line in secret.strip().splitlines() if not line.startswith("-----"))
    try:
        der = base64.b64decode(body, validate=True)
        try:
            private = serialization.load_der_private_key(der, password=None)
        except ValueError:
            found: object = serialization.load_der_public_key(der)
        else:
            found = private.public_key()
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError("an RSA key is PEM, or the base64 of its DER") from None  # the cause may quote the key
    if not isinstance(found, rsa.RSAPublicKey):
        raise ValueError("the key is not one for RSA")
    return found


def _is_rsa_signed(signed: str, signature: str, secret: str) -> bool:
    key = public_key(secret)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    try:
        key.verify(base64.b64decode(signature, validate=True), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _bytes(text: str) -> bytes:
    """Encode what a stranger sent; half a surrogate pair, which JSON may hold, must not raise."""
    return text.encode(errors="surrogatepass")
