"""What an author touches: implements, lifespan, current_call, report_progress."""
