"""Everything that is known of one customer, wherever it is kept."""
