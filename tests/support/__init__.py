"""What the tests share: waiting with a deadline, free ports, processes and servers."""
