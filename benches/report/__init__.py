"""From samples to medians, tables, plots and pages."""
