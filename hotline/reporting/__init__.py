"""统计: what the hotline's work comes to, counted as it happens, and the reports of art. 27 that are made of it."""
