"""The Ray that a run uses: find it, connect to it, check its nodes, notice when its head is lost.

Start at `connection.connection`; `preflight.preflight` checks every node before the first trial.
"""
