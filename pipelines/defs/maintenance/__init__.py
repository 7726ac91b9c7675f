"""What has to be done now and then so that the platform stays small and forgets whom it has to."""
