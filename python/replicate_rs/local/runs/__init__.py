"""Predictions and trainings as the server stores them, their API objects and their webhooks."""
