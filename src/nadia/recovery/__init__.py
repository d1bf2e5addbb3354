"""Recovery after downtime: what was missed is found in Telegram's own history and taken in like everything else."""
