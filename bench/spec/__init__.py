"""What a user requests: variants, suites and plans. Of devices, only the kind is known here."""
