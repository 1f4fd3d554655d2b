"""What came back: records of trials, the table of metrics, and the folder that holds them."""
