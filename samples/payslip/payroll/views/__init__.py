"""The pages of the payroll. Each module contains the pages of one task."""
