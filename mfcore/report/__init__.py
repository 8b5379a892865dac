"""Static pages about a data set's last night, which open without network or server."""
