"""What only one kind of sequence can do."""
