"""Real servers as children: NATS, Postgres, Triton, go2rtc. Each module prepares a folder and returns a spec."""
