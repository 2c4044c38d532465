"""What the design promises, measured: `make bench`. Never a timed assertion in a test."""
