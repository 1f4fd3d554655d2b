"""Where trials run. The only room that imports Ray, and it does so only when asked to run.

``session.run_plan`` takes a plan through an executor into a run folder; ``executor`` is the
contract, and ``ray_executor``, ``inprocess`` and ``simulated`` keep it.
"""
