"""The workflows as tools of the Model Context Protocol."""
