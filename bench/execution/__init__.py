"""Run trials. Only this package imports Ray, and only for a run on Ray.

``runner.run_plan`` runs a plan through an executor into a run folder. ``executor`` is the contract,
which ``ray_backend``, ``inprocess`` and ``simulated`` implement.
"""
