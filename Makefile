.PHONY: bench check check-cron check-kills check-peers check-slow test lint

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

check-kills:  ## 300 kills of a collector; some fifteen minutes
	LBANK_KILLS=300 .venv/bin/python -m pytest -q -s -m slow tests/test_collect_kills.py

check-cron:  ## a real cron runs collectors for ten minutes; needs root and Debian's cron: apt-get install cron
	LBANK_CRON_MINUTES=10 .venv/bin/python -m pytest -q -s -m slow tests/test_collect_cron.py

bench:  ## this library beside others; `make bench ARGS=--quick` takes a minute, all of it about an hour
	python3 -m venv build/bench
	build/bench/bin/pip install -q -e '.[bench]'
	build/bench/bin/python benchmarks/feed.py --out build/bench/feed.json $(ARGS)
