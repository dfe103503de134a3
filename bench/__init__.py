"""Side-by-side benchmark of Headrace and its peers; `python -m bench --help`, `make bench`."""
