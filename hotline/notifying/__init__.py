"""通知: units and people without a system are told by e-mail and text message what webhooks tell the others."""
