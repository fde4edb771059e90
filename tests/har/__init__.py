"""The HAR export, read by programs that we did not write."""
