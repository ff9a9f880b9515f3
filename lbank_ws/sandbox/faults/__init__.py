"""Faults of the practice exchange on demand: what LBank and networks were seen to do, each by its name.

What a fault is: `fault.py`. The kinds: `books.py`, `transport.py`, `dials.py`, `endings.py`, `rest.py`, `whole.py`. How
one is chosen: `parameters.py`, `script.py`, `control.py`. Which are active, and what they make of a frame: `active.py`.
All these are pure, but `control.py`; the box is disturbed in `mischief.py`, `calls.py`, `port.py` and `hangups.py`.
"""
