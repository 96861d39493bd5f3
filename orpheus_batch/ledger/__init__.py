"""What has been done, on disk, so that a crash loses nothing."""
