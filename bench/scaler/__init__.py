"""Policies against each other on recorded traffic, in the simulator."""
