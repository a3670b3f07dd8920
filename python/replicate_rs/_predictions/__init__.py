"""What predictions and trainings share: parameters, polling, events."""
