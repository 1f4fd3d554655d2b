"""What is asked for: variants, suites, plans. Of devices, only their kind is known here."""
