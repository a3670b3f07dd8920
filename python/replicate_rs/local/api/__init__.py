"""The 37 operations of the API, a module for each resource."""
