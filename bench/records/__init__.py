"""Define records of trials, the table of metrics, and the run folder that holds the records."""
