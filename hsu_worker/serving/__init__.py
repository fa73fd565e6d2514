"""What any server of ours needs: dispatch, slots, health, reflection, the log ring."""
