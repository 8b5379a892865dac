"""The stages of the workflow as plain functions over one context; who runs them, and how, is not known here."""
