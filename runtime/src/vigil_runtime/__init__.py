"""The plumbing of every program of Vigil. Import the module that is needed: each loads only its own libraries."""
