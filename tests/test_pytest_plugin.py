"""The pytest plugin gives a bot's test what it needs, and costs runs that do not use it nothing.

Each test is a pytest run of its own in a folder of its own, of the plugin as it is installed.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytest_plugins = ["pytester"]

STRICT = "[pytest]\naddopts = -p no:cacheprovider --strict-markers --strict-config\nfilterwarnings =\n    error\n"


@pytest.fixture
def run(pytester):
    """Give a maker of runs: the test file, the arguments of pytest, its ini."""

    def started(test: str, *arguments: str, ini: str = STRICT) -> pytest.RunResult:
        pytester.makeini(ini)
        pytester.makepyfile(textwrap.dedent(test))
        return pytester.runpytest_inprocess(*arguments)

    return started


def test_a_bot_gets_prices_from_a_box_of_its_own_under_the_strictest_settings(run):
    """The first test that anybody writes; a suite that turns warnings into errors must not fail for us."""
    result = run(
        """
        def test_price_comes(lbank_client, lbank_sandbox):
            with lbank_client:
                assert lbank_client.wait_for("ticker", "btc_usdt").last > 0

            assert lbank_sandbox.connections == 1
        """
    )

    result.assert_outcomes(passed=1)


def test_markers_set_the_options_and_the_nearest_wins(run):
    """A module lists its pairs once; one test of it wants another seed."""
    result = run(
        """
        import pytest

        pytestmark = pytest.mark.lbank_sandbox(seed=3, pairs=["sui_usdt"])

        @pytest.mark.lbank_sandbox(seed=7)
        @pytest.mark.lbank_client(dialect="simple")
        def test_options(lbank_client, lbank_sandbox, lbank_wait):
            with lbank_client:
                lbank_client.subscribe("ticker", "sui_usdt")
                lbank_wait(lambda: [view.dialect for view in lbank_sandbox.visitors()] == ["simple"])
            assert lbank_sandbox.pairs == ("sui_usdt",)
            assert 0
        """
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Captured practice exchange setup*", "Sandbox(seed=7, pairs=['sui_usdt'])"])


@pytest.mark.parametrize(
    ("ini", "arguments", "seed"),
    [("", [], 1), ("lbank_seed = 5\n", [], 5), ("lbank_seed = 5\n", ["--lbank-seed", "9"], 9)],
    ids=["default", "ini", "option"],
)
def test_the_seed_of_a_whole_run_can_be_chosen(run, ini, arguments, seed):
    """A failure that hangs on the prices is found by trying other ones, and its seed is printed with it."""
    result = run("def test_seed(lbank_sandbox):\n    assert 0\n", *arguments, ini=STRICT + ini)

    result.stdout.fnmatch_lines([f"Sandbox(seed={seed})"])


def test_a_marker_without_names_says_how_to_write_it(run):
    """`lbank_sandbox(7)` would otherwise be no seed and no error."""
    result = run(
        """
        import pytest

        @pytest.mark.lbank_sandbox(7)
        def test_seed(lbank_sandbox):
            pass
        """
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes its options by name, like seed=7*"])


FAILING = """
    import pytest

    @pytest.mark.lbank_client(fail_on_callback_error={strict})
    def test_callback(lbank_client):
        @lbank_client.on_ticker("btc_usdt")
        def check(ticker):
            assert ticker.last < 0

        with lbank_client:
            lbank_client.wait_for("ticker", "btc_usdt")
"""


def test_a_failed_assert_in_a_callback_fails_the_test(run):
    """The client survives its callbacks; a test that passed because of that would prove nothing."""
    result = run(FAILING.format(strict=True))

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([">*assert ticker.last < 0", "*the callback 'test_callback.<locals>.check' raised*"])
    result.stdout.no_fnmatch_line("*yield client*")


def test_a_test_may_want_its_callbacks_to_fail(run):
    """That a bot survives its own mistakes is a thing to test, too."""
    run(FAILING.format(strict=False)).assert_outcomes(passed=1)


def test_the_client_comes_back_quickly_after_a_drop_and_is_gone_after_the_test(run):
    """Waits of a bot would make every test of a drop slow; a thread left behind would disturb the next test."""
    result = run(
        """
        import threading

        def test_drop(lbank_client, lbank_sandbox, lbank_wait):
            seen = []
            lbank_client.on_status(lambda status: seen.append(status.kind))
            lbank_client.start()
            lbank_wait(lambda: seen == ["opened"])

            lbank_sandbox.disconnect()

            lbank_wait(lambda: seen == ["opened", "lost", "reconnected"], timeout_s=2)

        def test_afterwards():
            assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("lbank-ws")]
        """
    )

    result.assert_outcomes(passed=2)


def test_scripts_under_test_find_the_box_through_the_environment(run, monkeypatch):
    """A bot that is a script is tested unchanged, and never dials the real exchange by mistake."""
    monkeypatch.setenv("LBANK_ENV_FILE", "/nowhere")
    result = run(
        """
        import os
        import subprocess
        import sys

        BOT = "from lbank_ws import LBankClient\\nwith LBankClient() as client: client.wait_for('ticker', 'btc_usdt')"

        def test_script(lbank_env, lbank_sandbox):
            subprocess.run([sys.executable, "-c", BOT], check=True, timeout=20)

            assert lbank_sandbox.connections == 1
            assert lbank_env == {name: os.environ[name] for name in ("LBANK_WS_URL", "LBANK_REST_URL")}

        def test_afterwards():
            assert not {"LBANK_WS_URL", "LBANK_REST_URL"} & set(os.environ)
            assert os.environ["LBANK_ENV_FILE"] == "/nowhere"
        """
    )

    result.assert_outcomes(passed=2)


def test_waiting_ends_with_a_failure_that_points_at_the_wait(run):
    """A hang says nothing."""
    result = run("def test_wait(lbank_wait):\n    lbank_wait(lambda: False, timeout_s=0.05)\n")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*lbank_wait(lambda: False, timeout_s=0.05)", "*was not so within 0.05 s*"])


def plain_run(
    folder, *arguments: str, test: str = "def test_nothing():\n    pass\n"
) -> subprocess.CompletedProcess[str]:
    """Run pytest as anybody else does, in a process of its own."""
    (folder / "test_it.py").write_text(test)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_run_that_does_not_use_it_imports_nothing_of_ours(tmp_path):
    """Everybody who has lbank_ws installed would pay for it in every run of pytest."""
    ours = "('lbank_ws', 'aiohttp', 'websocket', 'requests')"
    test = f"import sys\ndef test_nothing():\n    assert not [name for name in {ours} if name in sys.modules]\n"

    run = plain_run(tmp_path, test=test)

    assert run.returncode == 0, run.stdout


def test_a_broken_installation_breaks_only_who_uses_it(tmp_path):
    """Somebody's other tests have nothing to do with us."""
    (tmp_path / "websocket.py").write_text("raise ImportError('broken')\n")
    test = "def test_other():\n    pass\ndef test_ours(lbank_client):\n    pass\n"

    run = plain_run(tmp_path, test=test)

    assert "1 passed, 1 error" in run.stdout


def test_it_can_be_left_out(tmp_path):
    """`-p no:` is how pytest's users get rid of a plugin."""
    run = plain_run(tmp_path, "-p", "no:lbank_ws", "--fixtures")

    assert run.returncode == 0
    assert "lbank_sandbox" not in run.stdout
