"""The probe for Django apps."""
