"""What tests share: servers that misbehave, programs that leave, processes, signed webhooks."""
