"""The control loop: replicas, signals, policies, decisions."""
