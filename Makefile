.PHONY: check test lint

check:  ## what CI runs
	bash .ci/run

test:
	.venv/bin/python -m pytest -q -n 2

lint:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
