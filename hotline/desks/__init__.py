"""What the desks of the console need beside the acts: calls, likely duplicates, the dispatch catalogue, queues, drafts, the citizen's page."""
