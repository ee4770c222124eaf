"""What is done with cameras, Subjects, models and events; used by the identity program."""
