"""What is asked for: variants, suites, plans. Of where they run it knows the kind of device alone."""
