"""From codes to sound."""
