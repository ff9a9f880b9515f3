"""What is handed out: wheels that anybody can build again bit by bit, and that run without the source tree."""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TREE = (
    "lbank_ws",
    "lbank_ws_pytest.py",
    "setup.cfg",
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
)
EPOCH = "1790000000"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def run(*command: str, cwd: Path, **variables: str) -> str:
    """Run a command and give what it printed; fail with all of it otherwise."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tree_at(folder: Path) -> Path:
    """Copy what is handed out, with files as old as the copy."""
    folder.mkdir()
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copyfile(source, folder / name)
    return folder


def wheel_of(source: Path, into: Path) -> Path:
    """Build a wheel as pip does for everybody."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(into), str(source), cwd=into.parent)
    return next(into.glob("*.whl"))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_wheel_is_the_same_whoever_builds_it(tmp_path):
    """Else nobody can tell whether what was uploaded is what stands in the repository.

    One comes from the tree, the other from a source distribution of another copy, as distributions of Linux make it. It
    holds the package and nothing that lay about, and runs without the tree. One test, because each build takes seconds.
    """
    wheel = wheel_of(tree_at(tmp_path / "one"), tmp_path / "wheels")
    source, out = tree_at(tmp_path / "another"), tmp_path / "sources"
    (source / "lbank_ws" / ".env").write_text("LBANK_SECRET=canary", encoding="utf-8")
    out.mkdir()
    run(sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})", cwd=source)

    again = wheel_of(next(out.glob("*.tar.gz")), tmp_path / "again")

    assert (again.name, sha256(again)) == (wheel.name, sha256(wheel))
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "lbank_ws").rglob("*.py")}
    assert sources <= names
    pages = [ROOT / "lbank_ws" / room / "page" for room in ("collect", "web")]
    data = {str(path.relative_to(ROOT)) for page in pages for path in page.rglob("*") if path.is_file()}
    assert {name for name in names - sources if ".dist-info/" not in name} == {
        "lbank_ws/py.typed",
        "lbank_ws_pytest.py",
        *data,
    }
    check_installed(wheel, tmp_path / "installed")


def check_installed(wheel: Path, target: Path) -> None:
    """Install a wheel without what it needs, which this Python has, and let it print prices."""
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
        cwd=target.parent,
    )
    where = run(sys.executable, "-c", "import lbank_ws; print(lbank_ws.__file__)", cwd=target, PYTHONPATH=str(target))
    assert where.startswith(str(target)), where

    command = (
        str(target / "bin" / "lbank-ws"),
        "watch",
        "btc_usdt",
        "--sandbox",
        "--plain",
        "--count",
        "2",
        "--for",
        "20s",
    )
    printed = run(*command, cwd=target, PYTHONPATH=str(target))

    assert printed.count("btc_usdt") >= 2


def test_core_needs_three_packages():
    """Each one more is somebody else who can publish what runs here."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")

    needed = settings["options"]["install_requires"].split("\n")

    assert [line.split()[0] for line in needed if line] == ["websocket-client", "requests", "python-dotenv"]


def test_import_reaches_for_no_network():
    """Whoever imports a library has not asked it for anything yet."""
    code = """
import importlib, pkgutil, socket
class Closed(socket.socket):
    def connect(self, *_): raise SystemExit("dialled")
    connect_ex = connect
socket.socket = Closed
socket.getaddrinfo = lambda *_, **__: (_ for _ in ()).throw(SystemExit("looked up"))
import lbank_ws
for module in pkgutil.walk_packages(lbank_ws.__path__, "lbank_ws."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print("done")
"""
    assert run(sys.executable, "-c", code, cwd=ROOT).strip() == "done"
