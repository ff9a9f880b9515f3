"""What help shows, and that every example in it runs.

How an example is run follows from what it says and from what its command can be told, not from its name:

- It runs in an empty folder against a practice exchange: its addresses and a key are in the
  environment.
- A file that it reads is made first: by the example of any command that writes it with `--out`, or of the text that
  the help shows below "FILE may say:".
- A folder that it reads is filled first, by the command that fills one of that name when nothing is said.
- An engine at an address that does not exist is out of reach, and the exit code says so.
- A `--port` becomes 0, and a `--for` at most two seconds.
- One that does not end by itself is ended by Ctrl-C, and that is no failure.
"""

from __future__ import annotations

import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from lbank_ws.cli import parser_of_all
from lbank_ws.cli.arguments import duration_s
from lbank_ws.cli.exits import Exit
from lbank_ws.cli.parsing import Parser
from lbank_ws.cli.verbs import NAMES
from lbank_ws.sandbox import Sandbox
from tests.waiting import wait_until

KEY, SECRET = "00000000-1111-2222-3333-444444444444", "A" * 32
LONGEST_S = 2.0
_FILE = re.compile(r"[\w-]+\.[\w.]+")


def parsers() -> dict[str, Parser]:
    """Give the parser of every command."""
    (verbs,) = (action for action in parser_of_all()._actions if isinstance(action.choices, dict))
    return dict(verbs.choices)


PARSERS = parsers()
EXAMPLES = [(verb, example) for verb, parser in PARSERS.items() for example in parser.examples]


def options_of(verb: str) -> set[str]:
    return {option for action in PARSERS[verb]._actions for option in action.option_strings}


def shortened(verb: str, example: str) -> list[str]:
    """Give the words of an example as the test runs them."""
    words = shlex.split(example)[1:]
    for number, word in enumerate(words[:-1]):
        if word == "--for":
            words[number + 1] = f"{min(LONGEST_S, duration_s(words[number + 1]))}s"
        elif word == "--port":
            words[number + 1] = "0"
    return words if "--port" in words or "--port" not in options_of(verb) else [*words, "--port", "0"]


def written(example: str) -> list[str]:
    """Give the files that an example writes."""
    return re.findall(r"--out (\S+)", example)


def prepare(verb: str, example: str, folder: Path, variables: Mapping[str, str]) -> None:
    """Make the files that an example reads."""
    for maker, parser in PARSERS.items():
        if maker != verb and parser.get_default("to") in shlex.split(example):
            filled = [sys.executable, "-m", "lbank_ws", maker, "btc_usdt", "--for", f"{LONGEST_S}s"]
            subprocess.run(filled, cwd=folder, env=dict(variables), capture_output=True, timeout=40, check=True)
    for name in set(_FILE.findall(example)) - set(written(example)):
        told = re.search(rf"{re.escape(name)} may say:\n\n((?:  .*\n)+)", PARSERS[verb].epilog or "")
        if told:
            (folder / name).write_text(told[1])
        for maker, other in EXAMPLES:
            if name in written(other):
                run(maker, other, folder, variables)


def run(verb: str, example: str, folder: Path, variables: Mapping[str, str]) -> tuple[int, str, str]:
    """Run an example, and give its exit code and what it printed."""
    prepare(verb, example, folder, variables)
    process = subprocess.Popen(
        [sys.executable, "-m", "lbank_ws", *shortened(verb, example)],
        cwd=folder,
        env=dict(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if re.search(r"--(for|count|until)\b", example) or not options_of(verb) & {"--for", "--count"}:
            out, err = process.communicate(timeout=40)
            return process.returncode, out, err
        over_s = time.monotonic() + LONGEST_S
        wait_until(lambda: process.poll() is not None or time.monotonic() > over_s, 2 * LONGEST_S, "its time")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        return 0 if process.returncode == Exit.INTERRUPTED else process.returncode, out, err
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def variables(tmp_path) -> Iterator[dict[str, str]]:
    with Sandbox() as box:
        box.add_account(KEY, SECRET, balances={"usdt": "10000", "btc": "0.5"})
        yield {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "LBANK_WS_URL": box.url,
            "LBANK_REST_URL": box.rest_url,
            "LBANK_API_KEY": KEY,
            "LBANK_API_SECRET": SECRET,
        }


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_example_of_the_help_runs(verb, example, tmp_path, variables):
    """An example is what is tried first, and pasted as it stands."""
    code, out, err = run(verb, example, tmp_path, variables)

    is_away = "://host" in example.replace("me@", "") and code == Exit.NO_DATA
    assert (is_away or code == 0, "Traceback" in out + err) == (True, False), out + err
    assert out or is_away or any(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("verb", NAMES)
def test_help_of_a_command_begins_with_examples_that_it_understands(verb, capsys):
    """Usage lines are read by nobody; an example with an option that is gone is worse than none."""
    parser = PARSERS[verb]

    for example in parser.examples:
        parser_of_all().parse_args(shlex.split(example)[1:])

    assert parser.format_help().startswith(f"examples:\n  lbank-ws {verb}")
    assert parser.format_help().count(parser.examples[0] + "\n") == 1 or "  " in parser._shown[0].strip()


def test_help_names_every_command_and_begins_with_examples():
    """The first thing that a newcomer sees."""
    text = parser_of_all().format_help()

    assert text.startswith("examples:\n  lbank-ws watch btc_usdt --sandbox --for 10s ")
    assert set(re.findall(r"^    (\w+)(?: |$)", text, re.MULTILINE)) == set(NAMES)


def test_what_help_says_below_the_arguments_stays_there():
    """The examples move to the top; the rest of an epilog is read after the arguments."""
    text = PARSERS["sandbox"].format_help()

    assert text.index("--faults SCRIPT") < text.index("A script of faults has one a line")
    assert "example:" not in text


def test_help_comes_at_once():
    """People ask for it again and again. Processor time is measured, which a busy machine changes little."""
    code = (
        "import sys; sys.argv = ['lbank-ws', '--help']\ntry:\n    import lbank_ws.__main__\nexcept SystemExit: pass\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code + "print(*sorted(sys.modules))"], capture_output=True, text=True, check=True
    ).stdout.split()
    took_s = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "lbank_ws", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    assert not {"lbank_ws.client", "requests", "websocket", "rich", "aiohttp", "asyncio"} & set(loaded)
    assert min(took_s) < 0.2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_every_command(shell):
    """A command that is not completed is not found."""
    pytest.importorskip("shtab")

    done = subprocess.run(
        [sys.executable, "-m", "lbank_ws", "completion", shell], capture_output=True, text=True, check=True
    )

    assert all(name in done.stdout for name in NAMES)
    assert "--sandbox" in done.stdout or shell == "fish"


def test_completion_of_bash_is_bash():
    """A script with a mistake breaks the shell of whoever sources it."""
    pytest.importorskip("shtab")
    done = subprocess.run(
        [sys.executable, "-m", "lbank_ws", "completion", "bash"], capture_output=True, text=True, check=True
    )

    asked = 'COMP_WORDS=(lbank-ws wat); COMP_CWORD=1; _shtab_lbank_ws 2>/dev/null; echo "${COMPREPLY[@]}"'
    completed = subprocess.run(["bash", "-c", f"{done.stdout}\n{asked}"], capture_output=True, text=True, check=False)

    assert completed.stdout.split() == ["watch"]
