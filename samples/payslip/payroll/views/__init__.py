"""The pages of the payroll. Each module holds the pages of one task."""
