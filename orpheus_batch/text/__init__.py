"""From a file to the segments that are spoken."""
