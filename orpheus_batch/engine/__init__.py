"""From prompts to token streams."""
