"""Postgres: the truth about what is declared and what was seen."""
