"""What every program of Vigil needs to run. Import the module that is needed: each loads only its own libraries."""
