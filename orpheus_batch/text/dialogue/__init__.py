"""Who speaks: quoted speech found, attributed to its speaker, and given that speaker's voice."""
