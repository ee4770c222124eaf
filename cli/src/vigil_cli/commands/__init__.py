"""What each command does; one module each."""
