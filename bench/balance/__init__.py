"""Balance policies and the peers' on the same misbehaving agents; `make bench-balance`."""
