"""The process: what it is made of, how it is put together, what it runs, and how it starts and stops."""
