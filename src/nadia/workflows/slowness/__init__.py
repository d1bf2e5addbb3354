"""What makes answers slow: the statements, what these wait for, and what they wait behind."""
