"""The whole system on one machine: real servers and our programs as supervised child processes."""
