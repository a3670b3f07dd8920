"""Predictions and trainings that the server stores, and their webhooks."""
