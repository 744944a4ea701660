"""Certificates: from "it fell on this run" to "it falls"."""
