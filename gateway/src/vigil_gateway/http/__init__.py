"""What both programs need of HTTP."""
