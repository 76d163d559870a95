"""StepAudio beside other engines on the same machine, sizes and precision."""
