"""Training runs, from a config to results and pictures; run by `python -m`."""

import sys

# What Python documents to stand there while it looks for the module to run: a
# command begins. Where this package is a library, nothing is changed.
if sys.argv[:1] == ["-m"]:
    from trainers.runs import start

    start.prepare_command()
