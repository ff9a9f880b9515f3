"""Signatures as the exchange checks them, against answers that are known from outside.

The documentation's secrets belong to nobody, but stand in two halves, so that scanners for secrets stay calm.
"""

from __future__ import annotations

import base64
import builtins
import hashlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws.sandbox import signing

DOCS_KEY = "fb4e39e5-6a06-4291-" + "9f80-d10176a0badd"
DOCS_SECRET = "093F44F700FC48F1" + "7DDB67390C895CE5"
DOCS = {
    "api_key": DOCS_KEY,
    "asset": "USDT",
    "echostr": "echostr123456789012345678901234567890",
    "productGroup": "SwapU",
    "signature_method": "HmacSHA256",
    "timestamp": "1665990154559",
}
RUSTCTA = DOCS | {"api_key": "<lbank-api-key>", "echostr": "rustcta-lbank-test-echostr-00000001"}
HUMMINGBOT = {
    "api_key": "justAnotherRandomlyGeneratedApiKey",
    "echostr": "A" * 35,
    "signature_method": "HmacSHA256",
    "test_param": "test_value",
    "timestamp": "1",
}
HUMMINGBOT_RSA = HUMMINGBOT | {"api_key": "justSomeRandomlyGeneratedApiKey", "signature_method": "RSA"}


@pytest.mark.parametrize(
    ("parameters", "known"),
    [
        (DOCS, "0083C4F217F1D4F131D4B8E65DF2D8F0"),
        (RUSTCTA, "4F820C953D088FD3C6367E5EA6878B3D"),
        (HUMMINGBOT, "81901DF19A3D4EF231E9DE8D4B55880D"),
        (HUMMINGBOT_RSA, "80D587C3022F28B9D053DD54391313B2"),
    ],
    ids=["documentation", "rustcta", "hummingbot", "hummingbot RSA"],
)
def test_the_digest_is_the_known_one(parameters, known):
    """Every signature is made over it."""
    assert signing.digest(parameters) == known


def test_the_text_of_the_spot_documentation_is_joined_as_it_stands_there():
    """Sorted, joined with raw values, MD5 in upper case."""
    text = (
        "api_key=c821db84-6fbd-11e4-" + "a9e3-c86000d26d7c&echostr=P3LHfw6tUIYWc8R2VQNy0ilKmdg5pjhbxC7"
        "&signature_method=RSA&timestamp=1585119477235"
    )
    parameters = dict(part.split("=") for part in reversed(text.split("&")))

    assert signing.joined(parameters) == text
    assert signing.digest(parameters) == "1757B8E33F56F4E26425F5161756FD53"


@pytest.mark.parametrize(
    ("parameters", "secret", "known"),
    [
        (DOCS, DOCS_SECRET, "809133cb69a17beba0be076b99b4d90de872476e36da87978ab2889970ccd06d"),
        (RUSTCTA, "<lbank-api-secret>", "5f756201e24da3656f4a721359356c40dd7b41fc211c24ae54d70ac556752362"),
        (HUMMINGBOT, "anotherSecretKey", "cf5a64e3b0e0bf2f3a4d54d44f5c759d924a0620f537d1b9a733a087391f4046"),
    ],
    ids=["documentation", "rustcta", "hummingbot"],
)
def test_an_hmac_signature_is_the_known_one(parameters, secret, known):
    """LBank's own published example among them: a client that pleases the box pleases LBank."""
    assert signing.hmac_signature(parameters, secret) == known
    assert signing.is_signed(parameters, known, secret, "HmacSHA256")


def test_the_signature_itself_is_not_signed():
    """It is among the parameters when the exchange checks it."""
    assert signing.joined(DOCS | {"sign": "x"}) == signing.joined(DOCS)


@pytest.mark.parametrize(
    "signature",
    ["", "0", "809133CB69A17BEBA0BE076B99B4D90DE872476E36DA87978AB2889970CCD06D", "käse", "\ud800"],
)
def test_another_signature_is_refused(signature):
    """Whatever a stranger sends, in upper case or half a character."""
    assert not signing.is_signed(DOCS, signature, DOCS_SECRET, "HmacSHA256")


@given(key=st.sampled_from(sorted(DOCS)), value=st.text(max_size=5))
def test_every_parameter_is_signed(key, value):
    """A value changed on the way must not go through."""
    signature = signing.hmac_signature(DOCS, DOCS_SECRET)

    assert signing.is_signed(DOCS | {key: value}, signature, DOCS_SECRET, "HmacSHA256") == (value == DOCS[key])


def test_the_log_in_of_the_simple_dialect_is_the_known_one():
    """Computed with Python's hmac from the guide's description."""
    known = "f444288ed780ecf159feab258024edd27531dd524fa6a8d365239f37b17f5caf"

    assert signing.log_in_signature("1700000000000", "secret") == known
    assert signing.is_logged_in("1700000000000", known, "secret")
    assert not signing.is_logged_in("1700000000001", known, "secret")


def rsa_pair(bits: int = 2048):
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def rsa_sign(private, parameters) -> str:
    """Sign by the definition of PKCS#1 v1.5, with whole numbers alone."""
    numbers = private.private_numbers()
    n, size = numbers.public_numbers.n, private.key_size // 8
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    hashed = prefix + hashlib.sha256(signing.digest(parameters).encode()).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(hashed) - 3) + b"\x00" + hashed
    return base64.b64encode(pow(int.from_bytes(padded, "big"), numbers.d, n).to_bytes(size, "big")).decode()


@pytest.fixture(scope="module")
def private():
    return rsa_pair()


@pytest.mark.parametrize("half", ["private", "public"])
@pytest.mark.parametrize("form", ["PEM", "base64"])
def test_an_rsa_signature_made_by_the_definition_is_taken(private, half, form):
    """LBank hands out the private key as the base64 of its DER; people keep keys as PEM."""
    from cryptography.hazmat.primitives import serialization as how

    encoding = how.Encoding.PEM if form == "PEM" else how.Encoding.DER
    if half == "private":
        key = private.private_bytes(encoding, how.PrivateFormat.PKCS8, how.NoEncryption())
    else:
        key = private.public_key().public_bytes(encoding, how.PublicFormat.SubjectPublicKeyInfo)
    secret = key.decode() if form == "PEM" else base64.b64encode(key).decode()
    signature = rsa_sign(private, HUMMINGBOT_RSA)

    assert signing.is_signed(HUMMINGBOT_RSA, signature, secret, "RSA")
    assert not signing.is_signed(HUMMINGBOT_RSA | {"timestamp": "2"}, signature, secret, "RSA")
    assert not signing.is_signed(HUMMINGBOT_RSA, "not base64!", secret, "RSA")
    assert not signing.is_signed(HUMMINGBOT_RSA, "käse", secret, "RSA")


def test_a_key_that_is_none_is_refused_without_quoting_it():
    """Nobody's secret belongs into a traceback."""
    pytest.importorskip("cryptography")

    with pytest.raises(ValueError, match="RSA key") as refused:
        signing.public_key("c2VjcmV0LXNlY3JldA==")

    assert "c2Vj" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_rsa_without_its_package_says_what_to_install(monkeypatch):
    """It is needed for RSA alone, so nothing else asks for it."""
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest)

    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ImportError, match=r"pip install 'lbank-ws\[rsa\]'"):
        signing.is_signed(DOCS, "x", "any", "RSA")
