// Tests of StepAudio.
