"""Who may do what, and who sees what: the whole matrix, and the likeliest ways around it."""
