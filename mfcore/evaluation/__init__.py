"""How good models are on test, and whether one is better than another."""
