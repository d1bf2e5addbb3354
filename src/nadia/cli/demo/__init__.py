"""`nadia demo`: a scripted day on a temporary home, in accelerated time, and whether every count adds up."""
