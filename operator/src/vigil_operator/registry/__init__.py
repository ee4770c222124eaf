"""Identity's registry: who enrols and erases Subjects, and takes the sightings of registered Cameras."""
