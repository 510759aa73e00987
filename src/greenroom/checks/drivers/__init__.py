"""Access to files, processes, engines and networks. Makes no decisions."""
