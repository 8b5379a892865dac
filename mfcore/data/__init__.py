"""From a name to checked and parted ratings."""
