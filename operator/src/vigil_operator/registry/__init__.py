"""Identity's registry, which enrols and erases Subjects and records the sightings of registered Cameras."""
