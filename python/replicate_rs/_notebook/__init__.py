"""What notebooks show of records and files: HTML, made when it is asked for."""
