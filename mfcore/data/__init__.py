"""From a name to checked and split ratings."""
