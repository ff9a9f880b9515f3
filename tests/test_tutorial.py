"""Every block of the tutorial runs as printed, in order, and prints what the page shows.

The port alone is another one, so that a practice exchange that somebody runs on this machine is left alone.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.blocks import ROOT, Block, Running, Shape, Shell, blocks, prose

PAGE = ROOT / "docs" / "tutorial.md"
PRINTED_PORT = "8765"


def steps() -> Iterator[tuple[Block, Block | None]]:
    """Give every block but the outputs, each with the output that follows it."""
    found = blocks(PAGE)
    for number, block in enumerate(found):
        if block.language != "text":
            after = found[number + 1] if number + 1 < len(found) else None
            yield block, after if after is not None and after.language == "text" else None


class Reader:
    """Somebody who does what the tutorial says, in two terminals."""

    def __init__(self, shell: Shell, stack: ExitStack) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
        self._shell = shell
        self._stack = stack
        self._first_command = ""
        self._first: Running | None = None

    def follow(self, block: Block, output: Block | None) -> None:
        """Do what one block says, and check what it prints."""
        text = block.text.replace(PRINTED_PORT, self._port)
        if block.word == "file":
            self._shell.save(block.more, text)
        elif block.word == "terminal":
            self._first_command = f"{text.strip()} --port {self._port}"
            self._start_exchange(Shape(output.text if output else ""))
        elif block.word != "install":
            self._run(text.strip(), block, output)

    def _run(self, command: str, block: Block, output: Block | None) -> None:
        shape = Shape(output.text if output else "")
        with self._shell.running(command) as running:
            if output is not None and output.word == "meanwhile":
                self._restart_exchange(running, output)
            running.until(shape.came, f"the output of {block}")
            if command.startswith("python ") and "Ctrl-C" in prose(PAGE, block.section):
                assert not running.has_ended, f"{block} ended before Ctrl-C"
                running.interrupt()
            assert running.code() == 0, f"{block}: {running.text}"
            assert not shape.strangers(running.text), f"{block} printed more than the page shows"

    def leave(self) -> None:
        """Press Ctrl-C in the first terminal, as the last section says."""
        assert self._first is not None
        self._first.interrupt()
        assert self._first.code() == 130

    def _start_exchange(self, shape: Shape) -> None:
        self._first = self._stack.enter_context(self._shell.running(self._first_command))
        self._first.until(shape.came, "the first terminal")

    def _restart_exchange(self, running: Running, output: Block) -> None:
        """Stop the exchange behind the first price that is shown, start it again behind `failed`."""
        lines = output.text.splitlines()
        failed = next(number for number, line in enumerate(lines) if "failed" in line)
        running.until(Shape("\n".join(lines[:2])).came, "a first price")
        self.leave()
        running.until(Shape("\n".join(lines[: failed + 1])).came, lines[failed])
        self._start_exchange(Shape(""))


@pytest.mark.slow
def test_every_step_of_the_tutorial_does_what_it_says(tmp_path):
    """A newcomer who types it in must never wonder whose mistake it is."""
    with ExitStack() as stack:
        reader = Reader(Shell(tmp_path, {"PYTHONUNBUFFERED": "1"}), stack)

        for block, output in steps():
            reader.follow(block, output)
        reader.leave()


def test_it_installs_with_the_command_that_ci_runs():
    """The one command of the page that cannot run here, because it needs a network."""
    (install,) = (block for block, _ in steps() if block.word == "install")

    assert install.text.splitlines()[0] in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", [block for block, _ in steps() if block.language == "python"], ids=str)
def test_every_script_is_saved_run_and_shown(block):
    """A script that is shown without its command is one that nobody tried."""
    commands = [shlex.split(other.text) for other, _ in steps() if other.language == "sh" and other.word == ""]

    assert ["python", block.more] in commands
    assert f"`{block.more}`" in prose(PAGE, block.section)
