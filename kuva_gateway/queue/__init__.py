"""What is due, when, and what became of it: admission, backoff, the runner, commitment, the schedule that wakes them."""
