"""What a user requests: variants, suites and plans. Of devices, only the kind is known here.

`axes` declares every axis; `suite.load_suite` and `plan.make_plan` lead from a file to the trials.
"""
