// The version of the package, for the command and for whoever asks.

/// The package's version.
public enum StepAudioVersion {
    /// As in CHANGELOG.md.
    public static let current = "0.1.0"
}
