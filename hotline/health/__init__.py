"""体检: what an installation lacks or has gone wrong with it, each with what to do next."""
