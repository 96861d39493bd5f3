"""Files that a publisher accepts: what is asked, how files are made for it, and whether they meet it."""
