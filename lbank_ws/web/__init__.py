"""A page that shows a live client, for a browser on this machine. Decided here: nothing; see its files."""
