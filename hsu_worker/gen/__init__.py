"""Generated from proto/ by `make gen-all`; never edited."""
