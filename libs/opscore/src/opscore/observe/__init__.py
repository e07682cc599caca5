"""What the house notices about itself: a closed list of observations, their log lines and their numbers."""
