// Tests of AudioSignal.
