"""Identity's registry, which enrols and erases Subjects and accepts sightings of registered Cameras."""
