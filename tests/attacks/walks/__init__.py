"""Walks over every address of the admin and every operation of the API."""
