"""Credentials and signatures, against answers that are known from outside.

The documentation's secrets belong to nobody, but stand in two halves, so that scanners for secrets stay calm.
"""

from __future__ import annotations

import base64
import builtins
import copy
import logging
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbank_ws import signer
from lbank_ws.environment import environment
from lbank_ws.errors import MissingExtra, UsageError
from lbank_ws.sandbox import signing
from lbank_ws.signer import Credentials, signed_request

DOCS_KEY = "fb4e39e5-6a06-4291-" + "9f80-d10176a0badd"
DOCS_SECRET = "093F44F700FC48F1" + "7DDB67390C895CE5"
DOCS = {"asset": "USDT", "productGroup": "SwapU"}
DOCS_ECHO, DOCS_AT = "echostr123456789012345678901234567890", 1665990154559
SECRET = "a-secret-that-nobody-may-see"
KEY = "a-key-that-ends-in-wxyz"


def credentials(**how) -> Credentials:
    return Credentials(**{"key": KEY, "secret": SECRET, **how})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder of its own, and no credentials in the environment."""
    for name in (
        "LBANK_API_KEY",
        "LBANK_API_SECRET",
        "LBANK_API_SECRET_FILE",
        "LBANK_SIGNATURE_METHOD",
        "LBANK_ENV_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Known answers.


@pytest.mark.parametrize(
    ("key", "secret", "asked", "at_ms", "echo", "digest", "known"),
    [
        (
            *(DOCS_KEY, DOCS_SECRET, DOCS, DOCS_AT, DOCS_ECHO, "0083C4F217F1D4F131D4B8E65DF2D8F0"),
            "809133cb69a17beba0be076b99b4d90de872476e36da87978ab2889970ccd06d",
        ),
        (
            *("<lbank-api-key>", "<lbank-api-secret>", DOCS, DOCS_AT, "rustcta-lbank-test-echostr-00000001"),
            "4F820C953D088FD3C6367E5EA6878B3D",
            "5f756201e24da3656f4a721359356c40dd7b41fc211c24ae54d70ac556752362",
        ),
        (
            *("justAnotherRandomlyGeneratedApiKey", "anotherSecretKey", {"test_param": "test_value"}, 1, "A" * 35),
            "81901DF19A3D4EF231E9DE8D4B55880D",
            "cf5a64e3b0e0bf2f3a4d54d44f5c759d924a0620f537d1b9a733a087391f4046",
        ),
    ],
    ids=["documentation", "rustcta", "hummingbot"],
)
def test_an_hmac_signature_is_the_known_one(key, secret, asked, at_ms, echo, digest, known):
    """LBank's own published example among them."""
    request = signed_request(asked, Credentials(key, secret), at_ms, echo)

    assert signer.digest({**request.body, **request.headers}) == digest
    assert request.body == {**asked, "api_key": key, "sign": known}
    assert request.headers == {"timestamp": str(at_ms), "signature_method": "HmacSHA256", "echostr": echo}


def test_the_text_of_the_spot_documentation_is_joined_as_it_stands_there():
    """Sorted, joined with raw values, MD5 in upper case."""
    text = (
        "api_key=c821db84-6fbd-11e4-" + "a9e3-c86000d26d7c&echostr=P3LHfw6tUIYWc8R2VQNy0ilKmdg5pjhbxC7"
        "&signature_method=RSA&timestamp=1585119477235"
    )
    parameters = dict(part.split("=") for part in reversed(text.split("&")))

    assert signer.joined(parameters) == text
    assert signer.digest(parameters) == "1757B8E33F56F4E26425F5161756FD53"


def test_the_rsa_digest_of_hummingbots_inputs_is_the_known_one():
    """A modern library refuses that key of 512 bits, so the step before the signature is what can be compared."""
    parameters = {
        "api_key": "justSomeRandomlyGeneratedApiKey",
        "echostr": "A" * 35,
        "signature_method": "RSA",
        "test_param": "test_value",
        "timestamp": "1",
    }

    assert signer.digest(parameters) == "80D587C3022F28B9D053DD54391313B2"


def test_the_log_in_of_the_simple_dialect_is_the_known_one():
    """Computed with Python's hmac from the guide's description."""
    known = "f444288ed780ecf159feab258024edd27531dd524fa6a8d365239f37b17f5caf"

    assert signer.log_in_signature("1700000000000", "secret") == known
    assert Credentials(KEY, "secret").log_in(1_700_000_000_000) == (KEY, "1700000000000", known)


@pytest.mark.parametrize("form", ["PEM", "base64"])
def test_an_rsa_signature_is_taken_by_the_exchange(form):
    """LBank hands out the private key as the base64 of its DER; people keep keys as PEM."""
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives import serialization as how

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding = how.Encoding.PEM if form == "PEM" else how.Encoding.DER
    key = private.private_bytes(encoding, how.PrivateFormat.PKCS8, how.NoEncryption())
    secret = key.decode() if form == "PEM" else base64.b64encode(key).decode()

    request = signed_request(DOCS, credentials(secret=secret, method="RSA"), 1, "A" * 35)

    signed = {**request.body, **request.headers}
    assert signing.is_signed(signed, request.body["sign"], secret, "RSA")
    assert not signing.is_signed({**signed, "asset": "BTC"}, request.body["sign"], secret, "RSA")
    with pytest.raises(UsageError, match="HmacSHA256"):
        credentials(secret=secret, method="RSA").log_in(1)


@given(st.dictionaries(st.from_regex(r"[a-zA-Z_]{1,8}", fullmatch=True), st.text(max_size=8).filter(str.isprintable)))
def test_whatever_is_asked_the_exchange_finds_the_same_signature(asked):
    """Both sides were written apart from each other."""
    asked = {name: text for name, text in asked.items() if name not in ("sign", "api_key", "echostr", "timestamp")}
    request = signed_request(asked, credentials(), 1, "A" * 35)

    assert signing.is_signed({**request.body, **request.headers}, request.body["sign"], SECRET, "HmacSHA256")


def test_nonces_are_what_the_exchange_takes_and_never_the_same():
    """One that was used before is a request that was sent before."""
    nonces = {signer.new_nonce() for _ in range(1000)}

    assert len(nonces) == 1000
    assert all(re.fullmatch(r"[0-9A-Za-z]{30,40}", nonce) for nonce in nonces)


# Nothing shows.


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "%r".__mod__], ids=["repr", "str", "format", "percent"])
def test_credentials_show_the_last_four_characters_of_the_key_alone(shown):
    """They end up in logs and tracebacks."""
    text = shown(credentials())

    assert text == "Credentials(key=***wxyz, method=HmacSHA256)"
    assert shown(Credentials("short", SECRET)) == "Credentials(key=***, method=HmacSHA256)"


def test_credentials_are_not_pickled_copied_or_listed():
    """A pickle of a client must not carry them to another process or disk."""
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as refused:
            take(credentials())
        assert SECRET not in str(refused.value)
    with pytest.raises(TypeError):
        vars(credentials())


def test_a_signed_request_shows_neither_key_nor_signature_nor_subscribe_key():
    """It is what `lbank-ws sign` prints."""
    request = signed_request({"symbol": "btc_usdt", "subscribeKey": "f" * 64}, credentials(), 1, "A" * 35)

    assert request.masked() == {"symbol": "btc_usdt", "api_key": "***wxyz", "sign": "***", "subscribeKey": "***"}
    for secret in (KEY, SECRET, request.body["sign"], "ffff"):
        assert secret not in repr(request)


@pytest.mark.parametrize("method", ["HmacSHA256", "RSA"])
def test_a_secret_that_cannot_be_one_is_not_quoted(method):
    """The error of a bad secret goes to a log like any other."""
    pytest.importorskip("cryptography")
    with pytest.raises(UsageError) as refused:
        credentials(secret="c2VjcmV0 c2VjcmV0\n", method=method)

    assert "c2Vj" not in str(refused.value)
    assert refused.value.__context__ is None or "c2Vj" not in str(refused.value.__context__)


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

    with pytest.raises(MissingExtra, match=r"pip install 'lbank-ws\[rsa\]'"):
        credentials(method="RSA")


# Where they come from.


def test_missing_credentials_are_named(folder):
    """Nobody guesses the names of variables."""
    with pytest.raises(UsageError, match=r"LBANK_API_KEY and LBANK_API_SECRET \(or LBANK_API_SECRET_FILE\)"):
        Credentials.from_env()
    with pytest.raises(UsageError, match=r"set LBANK_API_SECRET"):
        Credentials.from_env({"LBANK_API_KEY": KEY})


def test_the_environment_wins_over_the_file(folder, monkeypatch):
    """As for every other variable."""
    write(folder / ".env", f"LBANK_API_KEY=key-of-the-file\nLBANK_API_SECRET='{SECRET}'\n")
    monkeypatch.setenv("LBANK_API_KEY", KEY)

    found = Credentials.from_env()

    assert (found.key, found.method) == (KEY, "HmacSHA256")
    assert found.sign({"a": "b"}) == signer.signature({"a": "b"}, SECRET)


def test_what_a_file_says_is_no_variable_of_children(folder):
    """A program that is started by a bot needs no key of it, and may print its variables."""
    write(folder / ".env", f"LBANK_API_KEY={KEY}\nLBANK_API_SECRET='{SECRET}'\n")

    assert Credentials.from_env().known == {KEY, SECRET}
    code = "import os; print(sorted(name for name in os.environ if name.startswith('LBANK_')))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert child.stdout == "[]\n"


def test_a_file_that_somebody_planted_is_not_read(folder, tmp_path_factory, monkeypatch):
    """Neither in a folder above, nor beside the package, nor beside the script."""
    below = folder / "below"
    package = tmp_path_factory.mktemp("site")
    below.mkdir()
    for planted in (folder, package):
        write(planted / ".env", f"LBANK_API_KEY={KEY}\nLBANK_API_SECRET='{SECRET}'\n")
    monkeypatch.chdir(below)
    write(package / "script.py", "from lbank_ws import Credentials\nCredentials.from_env()\n")
    (package / "lbank_ws").symlink_to(Path(signer.__file__).parent)

    run = [sys.executable, package / "script.py"]
    child = subprocess.run(run, capture_output=True, text=True, check=False, timeout=30, cwd=below)

    assert child.returncode == 1
    assert "set LBANK_API_KEY and LBANK_API_SECRET" in child.stderr
    with pytest.raises(UsageError, match="LBANK_API_KEY and LBANK_API_SECRET"):
        Credentials.from_env()


@pytest.mark.parametrize("secret", ["pa$$word${HOME}", "it#s", 'quo"te', "quo'te"])
def test_a_secret_stands_for_itself(folder, secret):
    """Nothing in it is replaced, or cut."""
    quote = '"' if "'" in secret else "'"
    write(folder / ".env", f"LBANK_API_KEY={KEY}\nLBANK_API_SECRET={quote}{secret}{quote}\n")

    assert Credentials.from_env().known == {KEY, secret}


@pytest.mark.parametrize("secret", [" padded", "padded ", "broken\nline", "ends\n", "käse", "tab\tbed"])
def test_a_secret_with_a_stray_blank_is_refused(secret):
    """It was copied wrong, and every call would be answered with a bad signature."""
    with pytest.raises(UsageError, match="copy it once more"):
        Credentials.from_env({"LBANK_API_KEY": KEY, "LBANK_API_SECRET": secret})


def test_a_secret_may_stand_in_a_file_of_its_own(folder):
    """As containers hand them over; an editor ends the file with a line break."""
    write(folder / "secret", SECRET + "\n")
    named = {"LBANK_API_KEY": KEY, "LBANK_API_SECRET_FILE": str(folder / "secret")}

    assert Credentials.from_env(named).known == {KEY, SECRET}
    with pytest.raises(UsageError, match="keep one of them"):
        Credentials.from_env({**named, "LBANK_API_SECRET": SECRET})
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        Credentials.from_env({**named, "LBANK_API_SECRET_FILE": "nowhere"})
    with pytest.raises(UsageError, match="cannot be read"):
        Credentials.from_env({**named, "LBANK_API_SECRET_FILE": str(folder)})


@pytest.mark.parametrize("name", [".env", "secret"])
def test_a_file_that_others_can_read_is_told_and_one_that_they_can_change_is_refused(folder, caplog, name):
    """Whoever writes it names a key of his, and the orders are placed in his account."""
    text = f"LBANK_API_KEY={KEY}\nLBANK_API_SECRET={SECRET}\n" if name == ".env" else SECRET
    variables = None if name == ".env" else {"LBANK_API_KEY": KEY, "LBANK_API_SECRET_FILE": name}
    path = write(folder / name, text)

    Credentials.from_env(variables)
    assert caplog.messages == []
    path.chmod(0o644)
    Credentials.from_env(variables)
    assert "others can read it; run: chmod 600" in caplog.text
    assert SECRET not in caplog.text
    path.chmod(0o620)
    with pytest.raises(UsageError, match="others may change it"):
        Credentials.from_env(variables)


def test_a_file_without_secrets_may_be_readable(folder, caplog):
    """Most hold an address alone, and are nobody's business."""
    caplog.set_level(logging.DEBUG)
    write(folder / ".env", "LBANK_WS_URL=ws://127.0.0.1:1\n").chmod(0o644)

    assert environment(("LBANK_API_SECRET",))["LBANK_WS_URL"] == "ws://127.0.0.1:1"
    assert caplog.messages == []


def test_a_method_that_is_none_is_refused():
    """A typing error must not sign with something else."""
    with pytest.raises(UsageError, match="HmacSHA256, RSA"):
        Credentials.from_env({"LBANK_API_KEY": KEY, "LBANK_API_SECRET": SECRET, "LBANK_SIGNATURE_METHOD": "MD5"})


def write(path, text):
    path.write_text(text, encoding="utf-8")
    os.chmod(path, 0o600)
    return path
