// Tests of SpeechSynthesis.
