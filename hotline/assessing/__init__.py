"""考核: points by an indicator system, exclusions, samples, appeals, and what is final (art. 30-35)."""
