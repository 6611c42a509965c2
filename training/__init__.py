"""Offline training: from corpora to the bundle that the service loads. Needs the ``all`` extra."""

import os

# OpenMP's threads spin while one waits for another, and reads this when torch is loaded. Beside other
# processes that costs a run several times its own work; where the user asks otherwise, it is theirs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
