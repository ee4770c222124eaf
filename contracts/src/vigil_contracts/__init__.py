"""All that crosses a process boundary in Vigil: resources, events, bus subjects, conditions, ids."""
