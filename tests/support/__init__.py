"""What several test folders share: clients, verbs and fakes for faults."""
