"""The chain of hashes over the change log, and its copy in another system."""
