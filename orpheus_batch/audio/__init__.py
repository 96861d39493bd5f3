"""From decoded segments to finished files: stitching, level, encoding, verification."""
