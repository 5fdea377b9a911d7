"""Find lines in log files, without reading more of them than the ones that are found."""
