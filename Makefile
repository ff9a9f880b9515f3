.PHONY: bench check check-cron check-kills check-peers check-security check-slow docs lint soak test wheel

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

docs:  ## the pages as a site, in build/docs/html
	.venv/bin/pip install -q -e '.[docs]'
	.venv/bin/python -m sphinx -q -W --keep-going -b html -d build/docs/doctrees docs build/docs/html

check-kills:  ## 300 kills of a collector; some fifteen minutes
	LBANK_KILLS=300 .venv/bin/python -m pytest -q -s -m slow tests/test_collect_kills.py

check-cron:  ## a real cron runs collectors for ten minutes; needs root and Debian's cron: apt-get install cron
	LBANK_CRON_MINUTES=10 .venv/bin/python -m pytest -q -s -m slow tests/test_collect_cron.py

bench:  ## this library beside others; `make bench ARGS=--quick` takes a minute, all of it about an hour
	python3 -m venv build/bench
	build/bench/bin/pip install -q -e '.[bench]'
	build/bench/bin/python benchmarks/feed.py --out build/bench/feed.json $(ARGS)

FUZZ = $(addprefix tests/test_,wire_fuzz.py stream_fuzz.py books_fuzz.py quick.py backfill.py session_machine.py)

soak:  ## every promise for an hour and more: `make soak ARGS="--minutes 10 --seed 7"`
	LBANK_WS_FUZZ_TIMES=100 .venv/bin/python -m pytest -q -n 2 --timeout 7200 -m "slow or not slow" $(FUZZ)
	.venv/bin/python -m tests.faults.soak $(ARGS)

check-security:  ## bandit finds nothing of medium weight or more; no known hole in what the core needs (asks the network)
	python3 -m venv build/security
	build/security/bin/pip install -q bandit pip-audit
	build/security/bin/bandit -q -r lbank_ws lbank_ws_pytest.py --severity-level medium
	@sed -n '/^install_requires/,/^$$/s/^ \{4\}//p' setup.cfg > build/security/core.txt
	@if build/security/bin/python -c "import socket; socket.create_connection(('api.osv.dev', 443), 5)" 2>/dev/null; \
	then build/security/bin/pip-audit --strict --vulnerability-service osv -r build/security/core.txt; \
	else echo "pip-audit was skipped: the list of known holes is out of reach"; fi

wheel:  ## the same, bit by bit, wherever it is built from this commit
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .venv/bin/python -m pip wheel -q --no-deps -w dist .
