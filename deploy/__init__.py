"""How the hotline is set up on one machine or several, and the drills that try it."""
