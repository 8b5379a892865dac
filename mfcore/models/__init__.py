"""The trainers, and the factors they all return."""
