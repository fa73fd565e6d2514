"""The master's own address for calls: any client, in any language, calls any unit's interface there."""
