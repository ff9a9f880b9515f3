.PHONY: bench check check-peers check-slow lint soak test

check:  ## what CI runs
	bash .ci/run

test:
	.venv/bin/python -m pytest -q -n 4

check-slow:  ## the tests that take seconds each
	.venv/bin/python -m pytest -q -n 4 -m slow

lint:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

check-peers:  ## other people's clients on the practice exchange; their pins stay out of .venv
	python3 -m venv build/peers
	build/peers/bin/pip install -q -e '.[dev,peers]'
	build/peers/bin/pip install -q --no-deps lbank-connector-python pycryptodome
	build/peers/bin/python -m pytest -q tests/test_peers.py

bench:  ## this library beside others; `make bench ARGS=--quick` takes a minute, all of it about an hour
	python3 -m venv build/bench
	build/bench/bin/pip install -q -e '.[bench]'
	build/bench/bin/python benchmarks/feed.py --out build/bench/feed.json $(ARGS)

FUZZ = $(addprefix tests/test_,wire_fuzz.py stream_fuzz.py books_fuzz.py quick.py backfill.py session_machine.py)

soak:  ## every promise for an hour and more: `make soak ARGS="--minutes 10 --seed 7"`
	LBANK_WS_FUZZ_TIMES=100 .venv/bin/python -m pytest -q -n 2 --timeout 7200 -m "slow or not slow" $(FUZZ)
	.venv/bin/python -m tests.faults.soak $(ARGS)
