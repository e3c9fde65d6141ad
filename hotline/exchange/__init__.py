"""The exchange with units' systems: outbox, subscriptions, signed deliveries, the feed."""
