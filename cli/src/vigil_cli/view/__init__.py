"""The view of the dashboard: a live table in a terminal, plain lines elsewhere."""
