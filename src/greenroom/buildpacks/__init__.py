"""How a source tree becomes an app: detection and the plan as a value. No tables, no Django."""
