"""`python -m lbank_ws` is `lbank-ws`."""

import sys

from lbank_ws.cli import main

sys.exit(main())
