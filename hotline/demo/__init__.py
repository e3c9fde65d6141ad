"""The invented demo: demands, an organisation and phrases; no real person, phone or company."""
