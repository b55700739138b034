"""Addresses that canonical functions store to on purpose, for the runtime to name what they did.

All lie below the lowest address that a process may map.
"""

CALLS_TOO_DEEP = 0x1008  # see recursion.py
NO_FUNCTION = 0x1010  # see pointers.py
