"""The API's plain HTTP: health and metrics."""
