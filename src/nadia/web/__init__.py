"""Pages and the JSON API: review desk, sandbox, accounts."""
