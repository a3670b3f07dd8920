"""What knows no resource: transport, operations, records, checks of arguments."""
