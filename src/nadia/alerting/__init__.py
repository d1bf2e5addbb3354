"""What somebody should know at present: alerts, made from notices."""
