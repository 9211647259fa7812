"""The solver side: photographs and cameras in, a head mesh out. docs/architecture.md has the plan of the house."""
