"""What is due, when, and what became of it: admission, runner, commitment, and what wakes them."""
