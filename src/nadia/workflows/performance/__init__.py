"""How fast this installation is, measured so that a later measurement can be compared."""
