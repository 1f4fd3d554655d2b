"""What is asked for: variants, suites, plans. Knows nothing of how or where they run."""
