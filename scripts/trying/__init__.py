"""Parts of scripts/try_projects.py: the .changes file, hints, the table, the installation, one project, its pages."""
