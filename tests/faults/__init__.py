"""Faults injected for real: what must happen then, tried many times. `make faults` tries all of them at full length."""
