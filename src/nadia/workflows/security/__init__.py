"""What `security-check` looks through: one scanner a file, each for one kind of weakness."""
