"""New projects and new interfaces: the files of `templates/` under other names."""
