"""Registration, enrolment, erasure, retention and publication, as the identity program uses them."""
