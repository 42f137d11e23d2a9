"""The life of a run: its directory, checkpoints, signals, devices, logs."""
