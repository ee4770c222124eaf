"""Real servers as children: NATS, Postgres, Triton, go2rtc. Each module makes a folder ready and gives a spec."""
