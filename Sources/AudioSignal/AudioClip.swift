// Sound in memory: samples by channel with their rate.

/// Samples with their rate and channels.
public struct AudioClip: Sendable, Equatable {
    /// One array of samples a channel, all of one length; full scale is -1...1.
    public let channels: [[Float]]
    /// Samples a second.
    public let sampleRate: Int

    /// The rates that are accepted, in Hz.
    public static let acceptedRates = 100...768_000

    /// Makes a clip; refuses empty channels, unequal lengths, odd rates and values that are not
    /// finite.
    public init(channels: [[Float]], sampleRate: Int) throws(AudioError) {
        guard Self.acceptedRates.contains(sampleRate) else { throw .badRate(sampleRate) }
        guard let first = channels.first, !first.isEmpty else { throw .empty }
        guard channels.allSatisfy({ $0.count == first.count }) else {
            throw .unequalChannels(channels.map(\.count))
        }
        for (channel, samples) in channels.enumerated() {
            if let index = samples.firstIndex(where: { !$0.isFinite }) {
                throw .notFinite(channel: channel, sample: index)
            }
        }
        self.channels = channels
        self.sampleRate = sampleRate
    }

    /// Makes a clip of one channel from samples that are known to be sound (computed here).
    public init(mono samples: [Float], sampleRate: Int) {
        channels = [samples]
        self.sampleRate = sampleRate
    }

    /// Samples a channel.
    public var frameCount: Int { channels.first?.count ?? 0 }

    /// Length in seconds.
    public var duration: Double { Double(frameCount) / Double(max(1, sampleRate)) }

    /// Largest magnitude over all channels.
    public var peak: Float {
        channels.reduce(0) { max($0, $1.reduce(0) { max($0, abs($1)) }) }
    }

    /// The mean over the channels.
    public func mono() -> [Float] {
        guard channels.count > 1 else { return channels.first ?? [] }
        var sum = channels[0]
        for channel in channels.dropFirst() {
            for index in sum.indices {
                sum[index] += channel[index]
            }
        }
        let scale = 1 / Float(channels.count)
        return sum.map { $0 * scale }
    }

    /// The mean over the channels at another rate.
    public func mono(atRate rate: Int) -> [Float] {
        Resampler(from: sampleRate, to: rate).resample(mono())
    }
}
