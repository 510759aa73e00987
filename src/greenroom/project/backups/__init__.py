"""Backup sets: ``make`` writes one, ``load`` fills an empty installation from one, ``manifest`` describes one."""
