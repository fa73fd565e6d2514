"""What is wrong with an installation, a project or a machine, and how to mend it."""
