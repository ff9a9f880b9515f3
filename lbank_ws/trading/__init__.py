"""The exchange's REST interface. Nothing is imported here, so that a client that only listens loads none of it."""
