"""Define records of trials, the table of metrics, and the run folder that holds the records.

Start at `run_folder.RunFolder`, which reads and writes them; `trial_record.TrialRecord` has their
fields and `measures.Measures` their measurements.
"""
