"""The client under fire: a chaos proxy, and what must hold behind it."""
