"""One trace per message, from intake to delivery, told from what is on record and sent to an OTLP collector."""
