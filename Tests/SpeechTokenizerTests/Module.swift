// Tests of SpeechTokenizer.
