"""Composition: the command line, the process tree and the admin API."""
